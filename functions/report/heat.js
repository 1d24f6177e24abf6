// Pointer, finger or arrow keys: the line below a heat strip tells the hour in words.
for (const strip of document.querySelectorAll(".strip")) {
  const rows = [...strip.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("td")]);
  const readout = strip.nextElementSibling;
  let y = 0, x = -1;
  const tell = (cell) => {
    strip.querySelector("td.at")?.classList.remove("at");
    cell.classList.add("at");
    readout.textContent = cell.dataset.t;
  };
  strip.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("td");
    if (cell) { y = rows.findIndex((row) => row.includes(cell)); x = rows[y].indexOf(cell); tell(cell); }
  });
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    if (!step || !rows.length) return;
    event.preventDefault();
    x = Math.min(Math.max(x + step[0], 0), rows[0].length - 1);
    y = Math.min(Math.max(y + step[1], 0), rows.length - 1);
    tell(rows[y][x]);
  });
}
