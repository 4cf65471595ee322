"""Attaches alerts of suppressed monitors to the incident of what suppresses them, instead of opening one for each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from exporter.alerting.changes import AlertStarted
from exporter.alerting.dependencies import DependencyHolds, creates_incident
from exporter.alerting.ruleset import RuleSet
from exporter.core.alerts.held import HoldKind
from exporter.presentation.text import enumerate_tags
from exporter.storage.repositories.alerts import Alerts
from exporter.storage.repositories.incidents import Incident, Incidents


class SharedIncidents:
    """Used inside the transactions of the alert writer; all methods block and raise StorageUnavailable."""

    def __init__(self, dependencies: DependencyHolds, incidents: Incidents, alerts: Alerts) -> None:
        self._dependencies = dependencies
        self._incidents = incidents
        self._alerts = alerts

    def covered(self, started: Iterable[AlertStarted]) -> Mapping[str, AlertStarted]:
        """Those of these alerts that begin held, by uid."""
        return {alert.uid: alert for alert in self._dependencies.covered(started)}

    def attach(self, covered: Iterable[AlertStarted], now: int) -> dict[str, Incident]:
        """The open incident of each alert's own monitor, or else of what suppresses it, by uid. One for which there is
        none has none, until something that its monitor depends on has one or the alert is released.
        """
        alerts = list(covered)
        lines = {
            alert.uid: [alert.watched.id, *self._dependencies.causes(alert.watched.monitor.tag)] for alert in alerts
        }
        open_ones = self._incidents.open_of(sorted({id for ids in lines.values() for id in ids}))
        found: dict[str, Incident] = {}
        joined: defaultdict[int, set[str]] = defaultdict(set)
        for alert in alerts:
            incident = next((open_ones[id] for id in lines[alert.uid] if id in open_ones), None)
            if incident is not None:
                found[alert.uid] = incident
                joined[incident.id].add(alert.watched.monitor.tag)
        self._note(joined, now)
        return found

    def adopt(self, incidents: Mapping[int, Incident], rules: RuleSet, now: int) -> None:
        """Attaches alerts that wait for an incident to these, by monitor, which were opened or joined now."""
        parents = {id: incident for id, incident in incidents.items() if self._dependencies.has_children(incident.tag)}
        if not parents:
            return
        attached: dict[int, int] = {}
        joined: defaultdict[int, set[str]] = defaultdict(set)
        for alert in self._alerts.without_incident(HoldKind.DEPENDENCY):
            if not creates_incident(alert, rules.get(alert.rule)):
                continue
            cause = next((id for id in self._dependencies.causes(alert.tag) if id in parents), None)
            if cause is not None:
                attached[alert.id] = parents[cause].id
                joined[parents[cause].id].add(alert.tag)
        self._alerts.attach(attached)
        self._note(joined, now)

    def _note(self, joined: Mapping[int, set[str]], now: int) -> None:
        for incident_id, tags in joined.items():
            which = enumerate_tags(sorted(tags))
            self._incidents.note(incident_id, now, f"Alerts of {which} are held: what they depend on is in trouble.")
