import argparse
import os
from pathlib import Path

import pytest

from pmml_worker.scheduler import service
from pmml_worker.scheduler.config import Config, ConfigError, load, parse, read_secret

LEAST = 'zookeeper = "zk1:2181,zk2:2181"\nimage = "registry:5000/pmml-worker:1"\n'


def test_two_keys_are_enough() -> None:
    config = parse(LEAST, "scheduler.toml")
    assert config == Config("zk1:2181,zk2:2181", "registry:5000/pmml-worker:1")
    assert config.failover_timeout == 7 * 24 * 3600


def test_a_number_may_be_written_as_an_integer() -> None:
    assert parse(LEAST + "mem = 256\ncpus = 1", "x").mem == 256


@pytest.mark.parametrize(
    ("line", "key", "value", "remedy"),
    [
        ('zookeper = "zk:2181"', "zookeper", "'zk:2181'", "use one of zookeeper,"),
        ('zookeeper = "zk"', "zookeeper", "'zk'", "host:port"),
        ('zookeeper = "zk://zk:2181/mesos"', "zookeeper", "'zk://zk:2181/mesos'", "host:port"),
        ("instances = -1", "instances", "-1", "0 or more"),
        ('instances = "2"', "instances", "'2'", "an integer"),
        ("instances = true", "instances", "True", "an integer"),
        ("instances = 2.5", "instances", "2.5", "an integer"),
        ("cpus = 0.0", "cpus", "0.0", "0.01 or more"),
        ("mem = 8", "mem", "8", "32 or more"),
        ('models_dir = "models"', "models_dir", "'models'", "absolute path"),
        ('models_dir = "/models:rw"', "models_dir", "'/models:rw'", "without colons"),
        ('mesos_znode = "mesos"', "mesos_znode", "'mesos'", "/mesos"),
        ('znode = "/"', "znode", "'/'", "/pmml-worker"),
        ("listen_port = 70000", "listen_port", "70000", "1 to 65535"),
        ("failover_timeout = 1", "failover_timeout", "1", "60 seconds"),
        ('docker_config_file = "/etc/docker.json"', "docker_config_file", "'/etc/docker.json'", "config.json"),
        ('role = "a/ b"', "role", "'a/ b'", "Mesos role"),
    ],
)
def test_an_error_names_file_key_value_and_remedy(line: str, key: str, value: str, remedy: str) -> None:
    text = LEAST if key != "zookeeper" else 'image = "i"\n'
    with pytest.raises(ConfigError) as caught:
        parse(text + line, "scheduler.toml")
    message = str(caught.value)
    assert message.startswith("scheduler.toml: ")
    assert key in message
    assert value in message
    assert remedy in message


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="image is missing"):
        parse('zookeeper = "zk:2181"', "x")


def test_a_principal_needs_a_secret() -> None:
    with pytest.raises(ConfigError, match="principal and secret_file go together"):
        parse(LEAST + 'principal = "pmml"', "x")


def test_text_that_is_not_toml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"x: not TOML: .*line 1"):
        parse("zookeeper: zk", "x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read"):
        load(tmp_path / "absent.toml")


def test_a_secret_is_read_without_the_end_of_its_line(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text(" s3cret \n")
    assert read_secret(str(file), "secret_file") == " s3cret "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_open_to_others_is_refused_and_not_shown(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret")
    file.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 0600") as caught:
        read_secret(str(file), "secret_file")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n", "a\nb\n"])
def test_a_secret_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text(text)
    with pytest.raises(ConfigError, match="exactly one line"):
        read_secret(str(file), "secret_file")


def test_the_command_ends_with_ex_config_on_an_unusable_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    service.add_arguments(parser)
    file = tmp_path / "scheduler.toml"
    file.write_text("instances = 2")
    assert service.run(parser.parse_args(["--config", str(file)])) == os.EX_CONFIG
    assert "zookeeper is missing" in capsys.readouterr().err
