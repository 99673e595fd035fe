"""mesos-fetcher: fetches a task's URIs into its sandbox, as MESOS_FETCHER_INFO tells (docs/fetcher.md).

Supported: local paths, file, http, https, ftp and ftps URIs; all others, such as hdfs, viewfs and s3a, by a Hadoop
client (src/hdfs/hdfs.cpp); archives that tar, unzip or gunzip can extract; the fetcher cache.
"""

import json
import os
import posixpath
import pwd
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Sequence

from mesos_helpers import Message, flags

TAR = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
DEFAULT_STALL_TIMEOUT = 60.0


def fetch(uri: str, target: str, info: Message) -> None:
    """Copies or downloads the URI to the file `target`. Ends the process for a URI it cannot fetch."""
    scheme, _, rest = uri.partition("://")
    if not rest or scheme == "file":
        source = "/" + rest.partition("/")[2] if rest else uri
        if not source.startswith("/"):
            source = os.path.join(info.get("frameworks_home", ""), source)
            if not source.startswith("/"):
                sys.exit(f"'{uri}' is a relative path and --frameworks_home is not set")
        shutil.copyfile(source, target)
        return
    if scheme not in ("http", "https", "ftp", "ftps"):
        copy_to_local(uri, target)
        return
    timeout = flags.duration_info(info.get("stall_timeout"), 0) or DEFAULT_STALL_TIMEOUT
    with urllib.request.urlopen(uri, timeout=timeout) as source_file, open(target, "wb") as target_file:
        shutil.copyfileobj(source_file, target_file)


def copy_to_local(uri: str, target: str) -> None:
    """Has Hadoop copy the URI to the file `target`. Ends the process if it cannot."""
    home = os.environ.get("HADOOP_HOME")  # The agent sets it to its --hadoop_home.
    hadoop = os.path.join(home, "bin/hadoop") if home else "hadoop"
    shown = without_credentials(uri)
    try:
        status = subprocess.run([hadoop, "fs", "-copyToLocal", uri, target], stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        sys.exit(
            f"'{shown}' needs a Hadoop client, but {hadoop} cannot be run ({error.strerror}): install one here, "
            "and give its folder to the agent as --hadoop_home"
        )
    if status != 0:
        sys.exit(f"'{shown}' cannot be fetched: {hadoop} fs -copyToLocal ended with status {status}; see above for why")


def extract(archive: str, name: str, directory: str) -> bool:
    """Extracts `archive`, whose name is `name`; false if it is no archive."""
    if name.endswith(TAR):
        command = ["tar", "-C", directory, "-xf", archive]
    elif name.endswith(".zip"):
        command = ["unzip", "-o", "-q", "-d", directory, archive]
    elif name.endswith(".gz"):
        with open(os.path.join(directory, name.removesuffix(".gz")), "wb") as output:
            subprocess.run(["gunzip", "-d", "-c", archive], stdout=output, check=True)
        return True
    else:
        return False
    subprocess.run(command, check=True)
    return True


def place(item: Message, info: Message) -> None:
    """Puts the contents of one URI into the sandbox."""
    uri, sandbox = item["uri"], info["sandbox_directory"]
    value = uri["value"].lstrip()
    name = uri.get("output_file") or posixpath.basename(urllib.parse.urlsplit(value).path)
    target = os.path.join(sandbox, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)

    action = item.get("action", "BYPASS_CACHE")
    source = target
    if action != "BYPASS_CACHE":
        source = os.path.join(info["cache_directory"], item["cache_filename"])
    if action != "RETRIEVE_FROM_CACHE":
        print(f"Fetching {without_credentials(value)}", file=sys.stderr, flush=True)
        fetch(value, source, info)

    extracts = not uri.get("executable") and uri.get("extract", True)
    if extracts and extract(source, posixpath.basename(name), sandbox):
        return
    if source != target:
        shutil.copyfile(source, target)
    if uri.get("executable"):
        os.chmod(target, 0o755)


def without_credentials(uri: str) -> str:
    """The URI without user, password and query, which may be secret."""
    parts = urllib.parse.urlsplit(uri)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def become(user: str) -> None:
    """Gives up root's rights: URIs are fetched with those of the task, and with the settings in its user's home."""
    entry = pwd.getpwnam(user)
    os.environ.update(HOME=entry.pw_dir, LOGNAME=user, USER=user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main(arguments: Sequence[str] = sys.argv[1:]) -> None:
    """The program mesos-fetcher."""
    flags.parse("mesos-fetcher", arguments, ())
    if "MESOS_FETCHER_INFO" not in os.environ:
        sys.exit("MESOS_FETCHER_INFO is not set: mesos-fetcher is started by the agent")
    info = json.loads(os.environ["MESOS_FETCHER_INFO"])
    user, cache = info.get("user"), info.get("cache_directory")
    if cache:
        os.makedirs(cache, exist_ok=True)
        if user:
            shutil.chown(cache, user)
    if user:
        become(user)
    for item in info.get("items", []):
        place(item, info)
