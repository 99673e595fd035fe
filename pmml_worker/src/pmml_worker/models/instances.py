"""Training instances that a model keeps, as columns: those of nearest neighbours and of Gaussian processes."""

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import InlineTable
from pmml_worker.schema.nearest_neighbor import TrainingInstances
from pmml_worker.transform.column import Column, Faults, from_texts, try_cast
from pmml_worker.transform.scope import Environment, Scope


class Instances:
    """The training instances: columns by field, with what is derived from them.

    Attributes:
        count: how many they are.
        line: where they stand in the document.
    """

    def __init__(self, training: TrainingInstances, environment: Environment) -> None:
        if not isinstance(training.table, InlineTable):
            raise SchemaError(
                "<TableLocator> tells of a table outside of the document; put the instances into an <InlineTable>",
                training.table.line,
            )
        rows = training.table.rows
        if not rows:
            raise SchemaError("<TrainingInstances> has no rows", training.line)
        self.count = len(rows)
        self.line = training.line
        self.scope = Scope(self.count, Faults(), environment.all_derived())
        for field in training.instance_fields.fields:
            column = (field.column or field.field).rpartition(":")[2]
            texts = from_texts([row.cells.get(column) or None for row in rows])
            known = environment.find(field.field)
            data_type = known.data_type if known else "string"
            typed, bad = try_cast(texts, data_type)
            if bad is not None:
                row = int(bad.argmax())
                raise SchemaError(f'column "{column}": "{texts.scalar(row)}" is no {data_type}', rows[row].line)
            self.scope.declare(field.field, typed)

    def column(self, name: str) -> Column:
        """A field's values in the instances.

        Raises:
            SchemaError: the instances do not have the field, or it cannot be derived from what they have.
        """
        try:
            column = self.scope.column(name)
        except KeyError as error:
            raise SchemaError(
                f'<TrainingInstances> has no field "{error.args[0]}", which "{name}" needs', self.line
            ) from None
        if column.fault is not None and column.fault.any():
            fault = self.scope.faults[int(column.fault[column.fault != 0][0])]
            raise SchemaError(f'<TrainingInstances>, field "{name}": {fault.message}', self.line)
        return column
