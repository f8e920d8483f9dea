"""The study of a search, opened: brought up to the journal and to the space. What was lost or left out is said."""

from collections.abc import Callable
from pathlib import Path

from contract.events import SEARCH, SpaceChanged
from search.journal import compatibility
from search.journal.journal import Journal
from search.spec.spec import Spec
from search.study.study import StudySearcher

Say = Callable[[str], None]


def open_study(spec: Spec, journal: Journal, file: Path, say: Say, warn: Say) -> StudySearcher:
    """Open the study, or begin it.

    Args:
        spec: the search.
        journal: its events.
        file: the study's.
        say: tells the person what follows from a change of the space.
        warn: tells the person what was lost.

    Raises:
        OSError: the journal or the study cannot be written.
    """
    if journal.damaged:
        warn(f"{journal.damaged} damaged lines of {journal.path} were left out: what they said is lost.")
    on_another_machine = not file.exists()
    searcher = StudySearcher(spec, file)
    if searcher.damaged:
        warn(f"The study was damaged and is rebuilt from the journal; the old file is kept as {searcher.damaged}.")
    changed = searcher.changed
    if changed and journal.trials(SEARCH):
        _change_space(spec, journal, say)
    contradicted = searcher.reconcile(journal.trials(SEARCH))
    if contradicted and not (changed or searcher.damaged or on_another_machine):
        warn("The study contradicted the journal, and was rebuilt from it.")
    return searcher


def _change_space(spec: Spec, journal: Journal, say: Say) -> None:
    """Write down which trials fit the changed space."""
    outside = compatibility.outside(spec, journal.records.values())
    inside = {r.id for r in journal.records.values() if r.outside} - outside
    journal.append(SpaceChanged(outside=sorted(outside), inside=sorted(inside)))
    kept = [str(r.number) for r in journal.trials(SEARCH) if not r.outside]
    left = [str(r.number) for r in journal.trials(SEARCH) if r.outside]
    say(
        f"The space has changed. Kept as knowledge: trials {', '.join(kept)}."
        + (f" They do not fit it any more, and are left out: trials {', '.join(left)}." if left else "")
    )


def nothing_left(spec: Spec, journal: Journal) -> str:
    """Why a search starts no trial, and what to do."""
    if sum(not r.outside for r in journal.trials(SEARCH)) >= spec.trials:
        return "Nothing is left to do: all trials have ended. To add some, raise budget.trials."
    if spec.budget.hours is not None:
        return "Nothing was started: budget.hours is used up. To continue, raise it."
    return "Nothing was started: the first trials all failed. Correct what made them fail, and start a new search."
