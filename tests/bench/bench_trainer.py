"""The speed of training."""

import torch
from figure import Figure, median_s

from vm_runtime.examples import digits
from vm_runtime.trainer import IntervalTrainer

EPOCHS = 3
BATCH = 32


def trainer_figure() -> Figure:
    """Our loop beside the same loop in plain PyTorch: small CNN, no job, one thread."""
    data, steps = digits.Digits(train=True), 0

    def plain() -> int:
        torch.manual_seed(digits.SEED)
        model = digits.network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
        for _ in range(EPOCHS):
            for inputs, targets in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
        return EPOCHS * len(loader)

    def ours() -> None:
        torch.manual_seed(digits.SEED)
        model = digits.network()
        IntervalTrainer(
            model=model,
            train_dataset=data,
            loss_fn=torch.nn.functional.cross_entropy,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
            epochs=EPOCHS,
            batch_size=BATCH,
            seed=digits.SEED,
            show_progress=False,
        ).fit()

    steps = plain()
    # In turns, and the best of each: what else the machine does then falls on both alike.
    turns = [(median_s(plain, times=1), median_s(ours, times=1)) for _ in range(4)]
    theirs_s, ours_s = (min(column) for column in zip(*turns, strict=True))
    return Figure(
        what="training, small CNN on digits",
        ours=f"{steps / ours_s:.0f} steps/s",
        peer=f"plain PyTorch {steps / theirs_s:.0f} steps/s",
        ratio=f"{theirs_s / ours_s:.2f}",
    )


FIGURES = (trainer_figure,)
