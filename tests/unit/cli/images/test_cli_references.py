"""Names of images on the command line."""

from pyke.cli.images.references import split_reference, with_tag


def test_references() -> None:
    assert with_tag("busybox") == "busybox:latest"
    assert with_tag("host:5000/name") == "host:5000/name:latest"
    assert split_reference("host:5000/name:1") == ("host:5000/name", "1")
    assert split_reference("name@sha256:00") == ("name", "sha256:00")
