"""Faults and time, as who writes tests sees them."""

from __future__ import annotations

from tests.testing.conftest import Run

pytest_plugins = ["pytester"]


def test_faults_are_gone_at_the_end(run: Run) -> None:
    result = run(
        """
@pytest.fixture
def after(ovsdp):
    yield
    device = ovsdp.open()
    assert device.dump(OVSDP_CONTROL, OvsdpCmd.FAULT_GET) is not None
    make(device, "dp9")

from ovsdp_cuse.wire.ovsdp_control import OVSDP_CONTROL, OvsdpCmd

def test_it(ovsdp_client, after, ovsdp_faults):
    fault = ovsdp_faults.add(FaultEffect.FAIL, errno=ENOSPC, command="OVS_DP_CMD_NEW")
    for _ in range(2):
        with pytest.raises(DatapathError) as caught:
            make(ovsdp_client)
        assert caught.value.errno == ENOSPC
    assert ovsdp_faults.get(fault.id).applied == 2

def test_held(ovsdp, ovsdp_client, ovsdp_faults):
    fault = ovsdp_faults.add(FaultEffect.HOLD, command="OVS_DP_CMD_NEW")
    call = ovsdp.start(make, ovsdp_client)
    assert not call.done
    assert ovsdp_faults.get(fault.id).held == 1
    assert ovsdp_faults.release(fault.id) == 1
    assert call.result()

def test_held_to_the_end(ovsdp, ovsdp_client, ovsdp_faults):
    ovsdp_faults.add(FaultEffect.HOLD, command="OVS_DP_CMD_NEW")
    ovsdp.start(make, ovsdp_client)
"""
    )
    result.assert_outcomes(passed=3)


def test_a_virtual_clock_moves_delays(run: Run) -> None:
    result = run(
        """
def test_by_itself(ovsdp_client, ovsdp_faults, ovsdp_clock):
    ovsdp_faults.add(FaultEffect.DELAY, delay_ms=3_600_000, command="OVS_DP_CMD_NEW")
    began_ms = ovsdp_clock.now_ms
    make(ovsdp_client)
    assert ovsdp_clock.now_ms == began_ms + 3_600_000

def test_by_the_test(ovsdp, ovsdp_client, ovsdp_faults, ovsdp_clock):
    ovsdp_faults.add(FaultEffect.DELAY, delay_ms=5000, command="OVS_DP_CMD_NEW")
    call = ovsdp.start(make, ovsdp_client)
    ovsdp_clock.advance(4.999)
    assert not call.done
    ovsdp_clock.advance(0.001)
    assert call.result()

def test_the_machines(ovsdp):
    with pytest.raises(RuntimeError, match="virtual"):
        ovsdp.clock
"""
    )
    result.assert_outcomes(passed=3)
