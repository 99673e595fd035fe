"""libmesos.so: frameworks on the JVM, through Mesos' own Java classes as Spark brings them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cluster import Cluster


class Jvm:
    """Runs DriverTest with a library and the Java classes of Mesos."""

    def __init__(self, library: Path, class_path: str) -> None:
        self._library = library
        self._class_path = class_path

    def run(self, master: str, scenario: str) -> str:
        """Runs a scenario, with the JVM's checks of every JNI call, and returns its output."""
        command = ["java", "-Xcheck:jni", "-cp", self._class_path, "DriverTest", master, scenario]
        environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
        environment |= {"MESOS_NATIVE_JAVA_LIBRARY": str(self._library), "LIBPROCESS_IP": "127.0.0.1"}
        result = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
        )
        assert result.returncode == 0, result.stdout
        return result.stdout


@pytest.fixture(scope="session")
def jvm(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Jvm:
    """The compiled DriverTest, on the package's library."""
    jar = os.environ.get("MESOS_JAR")
    if not jar:
        pytest.skip("MESOS_JAR does not name Spark's mesos-1.4.3-shaded-protobuf.jar")
    if not shutil.which("javac"):
        pytest.skip("there is no javac command")
    classes = tmp_path_factory.mktemp("classes")
    source = Path(__file__).with_name("DriverTest.java")
    # Deprecated methods have to work, too.
    lint = "-Xlint:all,-deprecation,-removal,-processing"
    compile_command = ["javac", "-encoding", "UTF-8", lint, "-Werror", "-cp", jar]
    subprocess.run([*compile_command, "-d", str(classes), str(source)], check=True)
    return Jvm(root / "usr/lib/mesos/libmesos.so", f"{jar}:{classes}")


@pytest.mark.parametrize("acknowledgements", ["implicit", "explicit"])
def test_a_framework_on_the_jvm_can_make_every_call(jvm: Jvm, command_cluster: Cluster, acknowledgements: str) -> None:
    output = jvm.run(command_cluster.address, f"{acknowledgements}-acknowledgements")
    assert "in native method" not in output


def test_the_library_says_its_version(jvm: Jvm, command_cluster: Cluster) -> None:
    jvm.run(command_cluster.address, "version")


def test_an_invalid_master_is_reported_to_the_framework(jvm: Jvm, command_cluster: Cluster) -> None:
    jvm.run(command_cluster.address, "invalid-master")


def test_an_exception_in_a_callback_is_shown_and_aborts_the_driver(jvm: Jvm, command_cluster: Cluster) -> None:
    output = jvm.run(command_cluster.address, "exception-in-callback")
    assert "java.lang.IllegalStateException: on purpose" in output


def test_drivers_that_nothing_refers_to_are_collected(jvm: Jvm, command_cluster: Cluster) -> None:
    output = jvm.run(command_cluster.address, "dropped-drivers")
    assert "in native method" not in output
