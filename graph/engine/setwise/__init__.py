"""Set-at-a-time execution: each field is resolved once for all of its parents, not once for each of them.

A document is made into a plan once (`planner.py`): selections of fields (`fields.py`), each with where its values come
from (`sources.py`), the nulls and lists around them (`shapes.py`), and how leaves look in JSON (`leaves.py`).

What the answer is stays graphql-core's to say. It collects the fields, coerces the arguments and is the reference:
whatever goes wrong on the way, an exception or a null where none may be, makes it execute the operation instead, and
its answer with its errors counts. That is possible because the resolvers of questions only read.
"""
