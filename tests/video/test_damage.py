"""Lost frames, found in packets and frames made by hand."""

from types import SimpleNamespace
from typing import Any

from signrep_core.video.damage import Damage, Lost


def packet(pts: int, corrupt: bool = False) -> Any:
    return SimpleNamespace(pts=pts, dts=pts - 1, size=10, is_discard=False, is_corrupt=corrupt)


def frame(pts: int, key: bool = False, corrupt: bool = False) -> Any:
    return SimpleNamespace(pts=pts, dts=pts - 1, key_frame=key, is_corrupt=corrupt)


def sort(damage: Damage, *frames: Any) -> list[int | Lost]:
    """Times of good frames, and the lost ones."""
    found = [item for each in frames for item in damage.sort(each)]
    return [item if isinstance(item, Lost) else item.pts for item in found]


def lost(pts: int) -> Lost:
    return Lost(pts, pts - 1)


def expecting(*pts: int) -> Damage:
    damage = Damage()
    for each in pts:
        damage.expect(packet(each))
    return damage


def test_good_frames_pass() -> None:
    damage = expecting(0, 1, 2)
    assert sort(damage, frame(0, key=True), frame(1), frame(2)) == [0, 1, 2]
    assert (list(damage.rest()), damage.lost) == ([], 0)


def test_a_packet_that_did_not_decode_is_lost_with_all_up_to_the_next_keyframe() -> None:
    damage = expecting(0, 1, 2, 3, 4)
    assert list(damage.fail(packet(1))) == []  # its place is found below
    found = sort(damage, frame(0, key=True), frame(2), frame(3, key=True), frame(4))
    assert found == [0, Lost(1), lost(2), 3, 4]
    assert damage.lost == 2


def test_without_times_of_showing_a_frame_is_lost_where_its_packet_failed() -> None:
    damage = Damage(ordered=False)
    for each in range(4):
        damage.expect(packet(each))
    assert sort(damage, frame(0, key=True), frame(3)) == [0, 3]  # in the order of showing, whatever their times
    assert list(damage.fail(packet(2))) == [lost(2)]
    assert sort(damage, frame(1)) == [lost(1)]  # may be predicted from the lost one
    assert (list(damage.rest()), damage.lost) == ([], 2)


def test_a_packet_without_a_frame_is_no_damage_where_none_failed() -> None:
    damage = expecting(0, 1, 2)
    assert sort(damage, frame(0, key=True), frame(2)) == [0, 2]
    assert damage.lost == 0


def test_corrupt_packets_and_frames_are_lost_though_they_decode() -> None:
    damage = expecting(0)
    damage.expect(packet(1, corrupt=True))
    assert sort(damage, frame(0, key=True), frame(1), frame(2), frame(3, key=True)) == [0, lost(1), lost(2), 3]
    assert sort(expecting(0), frame(0, key=True, corrupt=True)) == [lost(0)]


def test_frames_missing_at_the_end_are_lost() -> None:
    damage = expecting(0, 1, 2)
    assert [*damage.fail(packet(1)), *damage.fail(packet(2))] == []
    assert sort(damage, frame(0, key=True)) == [0]
    assert list(damage.rest()) == [Lost(1), Lost(2)]
