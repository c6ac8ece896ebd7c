"""From an intent to a plan, with one catalogue. Pure: asks nobody, changes nothing."""

from devstack.rest.catalogue import Catalogue
from devstack.rest.errors import not_implemented
from devstack.rest.mutations import plan_delete, plan_insert, plan_put, plan_update
from devstack.rest.payload import Payload
from devstack.rest.plans import Intent, Plan
from devstack.rest.reads import plan_read
from devstack.rest.requests import Target
from devstack.rest.rpc import CallPlanner
from devstack.rest.settings import RestSettings


class Planner:
    """Makes plans for as long as its catalogue is the newest."""

    def __init__(self, catalogue: Catalogue, settings: RestSettings) -> None:
        self.catalogue = catalogue
        self._settings = settings
        self._calls = CallPlanner(catalogue, settings.max_rows)

    def plan(self, intent: Intent, target: Target, role: str) -> Plan:
        """The plan for an intent of `role`'s.

        Raises:
            RestError: the target is not there, or does not allow what is asked.
        """
        if target.kind == "function":
            return self._calls.plan(intent)
        relation = self.catalogue.relation(intent.schema, intent.name)
        safe = role in self._settings.safe_update_roles
        match intent.method, intent.payload:
            case "POST", Payload() as payload:
                return plan_insert(intent, payload, relation, self.catalogue)
            case "PUT", Payload() as payload:
                return plan_put(intent, payload, relation, self.catalogue)
            case "PATCH", Payload() as payload:
                return plan_update(intent, payload, relation, self.catalogue, safe=safe)
            case "DELETE", None:
                return plan_delete(intent, relation, self.catalogue, safe=safe)
            case (("GET" | "HEAD"), None):
                return plan_read(intent, relation, self.catalogue, self._settings.max_rows)
            case method, _:
                raise not_implemented(method)

    def allowed_methods(self, intent: Intent, target: Target) -> str:
        """What `Allow` says of a target.

        Raises:
            RestError: the target is not there.
        """
        if target.kind == "function":
            return "OPTIONS,POST" if self._calls.changes(intent) else "OPTIONS,GET,HEAD,POST"
        if target.kind == "root":
            return "OPTIONS,GET,HEAD"
        relation = self.catalogue.relation(intent.schema, intent.name)
        methods = [*relation.methods]
        if relation.primary_key and {"POST", "PATCH"} <= set(methods):
            methods.insert(1, "PUT")
        return ",".join(("OPTIONS,GET,HEAD", *methods))
