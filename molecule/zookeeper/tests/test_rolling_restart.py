"""What clients of an ensemble notice of a change of its configuration."""

import yard
from ensemble import MEMBERS, Poller, main_process, modes


def test_a_change_restarts_one_member_at_a_time_and_a_majority_is_always_alive() -> None:
    started = {member: main_process(member) for member in MEMBERS}
    with yard.restored("playbooks/zookeeper.yml", "--tags=zookeeper"), Poller() as poller:
        yard.play("playbooks/zookeeper.yml", "--tags=zookeeper", "--extra-vars=zookeeper_max_client_connections=210")
        assert modes() == ["follower", "follower", "leader"]
    for member in MEMBERS:
        assert main_process(member) != started[member]
    assert poller.samples > 50
    assert poller.fewest_alive >= 2
    print(f"longest time without service, an election included: {poller.longest_gap:.1f} s")
    assert poller.longest_gap < 10
