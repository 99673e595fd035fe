"""Executors that come and go with their work, beside the external shuffle service."""

from spark_client import PYSPARK, Program, framework

SETTINGS = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.shuffle.service.enabled": "true",
    "spark.dynamicAllocation.executorIdleTimeout": "2s",
}
SHUFFLE = """
mapped = sc.accumulator(0)
def pair(number):
    mapped.add(1)
    return number % 10, number
pairs = sc.parallelize(range(1000), 4).map(pair).reduceByKey(lambda left, right: left + right, 4)
"""
SUMS = [(digit, sum(range(digit, 1000, 10))) for digit in range(10)]


def test_idle_executors_go_and_what_they_shuffled_is_still_there(name: str) -> None:
    options = " ".join(f"--conf {key}={value}" for key, value in SETTINGS.items())
    with Program(f"{PYSPARK} --name {name} {options}", f"exec({SHUFFLE!r})\n") as shell:
        shell.send("print('first', sorted(pairs.collect()), mapped.value, flush=True)\n")
        shell.wait_for_line("^first")
        executors = {task["id"] for task in framework(name, lambda known: bool(known["tasks"]))["tasks"]}
        framework(name, lambda known: bool(known["active"]) and not known["tasks"])
        shell.send("print('again', sorted(pairs.collect()), mapped.value, flush=True)\n")
        shell.wait_for_line("^again")
        again = {task["id"] for task in framework(name)["tasks"]}
        result = shell.finish()
    # The accumulator tells that no pair was made again: others read the files of the executors that were gone.
    assert result.output.splitlines()[-2:] == [f"first {SUMS} 1000", f"again {SUMS} 1000"], result.errors
    assert executors and again and not executors & again
