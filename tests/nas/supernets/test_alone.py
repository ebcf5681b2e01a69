"""One architecture as a parent network: its space holds it and nothing else."""

from nas.supernets.alone import space_of


def test_the_space_of_one_architecture_has_one_operation_an_edge() -> None:
    space = space_of(((0, 1), (0, 2), (1, 2)), "a|b|c")
    assert space.shape == (3, 1)
    assert space.read("a|b|c") == (0, 0, 0)
    assert space.write((0, 0, 0)) == "a|b|c"
