"""Work starts when its interval starts, and the VM is down soon after its end."""

from punctuality import quantile, watch


def test_work_starts_within_30_s_and_vms_are_down_within_2_minutes() -> None:
    """With boots of 40 to 90 s and slots of 15 minutes, for nineteen of twenty VMs and more."""
    seen = watch(jobs=6, hours=12, seed=3)

    assert len(seen.starts_s) >= 10
    assert len(seen.ends_s) >= 10
    assert quantile(seen.starts_s, 0.95) <= 30.0, sorted(seen.starts_s)
    assert quantile(seen.ends_s, 0.95) <= 120.0, sorted(seen.ends_s)
