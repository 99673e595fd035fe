"""Keeps PMML workers running as Docker tasks on Mesos.

config    the TOML file -> Config, or an error that names key, value and remedy
recordio  the framing of Mesos' event streams
mesos     the v1 scheduler API: one subscription and the calls beside it
state     what is remembered: the framework's id and the tasks
store     ZooKeeper: the state, the election, the leading Mesos master
plan      state + offers -> tasks to launch and to kill (pure functions)
tasks     a launch -> Mesos' TaskInfo (pure functions)
leader    what the leading instance does with all of these
web       health, workers and the proxy to them, on every instance
service   the `pmml-worker scheduler` command
"""
