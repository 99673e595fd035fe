"""`pmml-worker spark-score` as an application file of spark-submit, which cluster mode wants."""

import sys

from pmml_worker.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["spark-score", *sys.argv[1:]]))
