"""Made-up fragments of clinical notes, labelled by construction.

Abstracts have no headings, no medication lists and hardly a person's name: the templates here bring in their form, and
teach nothing about medicine. Doses are arbitrary.
"""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from ..data import words
from .corpora import LABELS

SEED = 20261121

_UNITS = ("mg", "mcg", "mg/day", "units", "mL", "g", "mg/kg", "puffs")
_ROUTES = ("PO", "IV", "oral", "by mouth", "subcutaneous", "SC", "inhaled", "p.o.", "topical", "")
_TIMES = ("daily", "BID", "b.i.d.", "TID", "QHS", "q6h", "every 8 hours", "once a day", "twice daily", "PRN", "qd", "")
_LISTS = ("MEDICATIONS", "Discharge Medications", "Home meds", "Current medications", "Admission medications")
_HISTORY = (
    "PAST MEDICAL HISTORY", "Past Medical History", "PMH", "Discharge Diagnoses", "Assessment", "Assessment and Plan",
    "Problem list", "Diagnosis", "Impression", "Active problems", "Principal diagnosis",
)  # fmt: skip
_SYSTEMS = (
    "Constitutional", "Cardiovascular", "Respiratory", "Gastrointestinal", "Musculoskeletal", "Neurological", "Skin",
    "Psychiatric", "Genitourinary", "HEENT", "CV", "GI", "GU", "MSK", "Neuro", "Endocrine", "Hematologic", "Renal",
)  # fmt: skip
_PLAIN = (
    "CC:", "HPI:", "ROS:", "A/P:", "PE:", "CHIEF COMPLAINT", "HISTORY OF PRESENT ILLNESS", "RESULTS",
    "PHYSICAL EXAMINATION",
    "Chief Complaint: follow up visit.", "History of Present Illness:", "Physical Exam:", "Vital signs stable.",
    "Review of Systems: as above.", "Family History: noncontributory.", "PAST SURGICAL HISTORY", "INSTRUCTIONS",
    "Follow up with primary care in 2 weeks.", "Labs reviewed.", "Disposition: home.", "Hospital Course:", "VITALS",
    "Condition at discharge: stable.", "Plan:", "Procedures: none.", "Discharge instructions given.", "Exam:",
    "General: well appearing, no acute distress.", "Heart: regular rate and rhythm.", "Lungs: clear to auscultation.",
    "Cardiovascular: S1, S2 normal.", "Gastrointestinal: soft, nontender.", "Diet: regular.", "Activity: as tolerated.",
    "Denies alcohol and tobacco.", "X-ray of the knee was obtained.", "All questions were answered.",
)  # fmt: skip
_GIVEN = """
    James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth Brian Susan Joseph Sarah Carlos Karen
    Daniel Lisa Anthony Betty Logan Sandra Wei Aisha Priya
""".split()
_SURNAMES = """
    Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Wilson Anderson
    Thompson Taylor Moore Jackson Martin Lee Perez White Harris Clark Ramirez Lewis Robinson Walker Young Allen
    King Wright Torres Nguyen Kumar Edwards Collins Stewart Morris Murphy Cook Rogers Peterson Bailey Reed Kelly
    Howard
""".split()
_PLACES = """
    Oklahoma Texas Boston Chicago Philadelphia Arizona Minnesota Nebraska Seattle Denver California Tennessee
    Kentucky Ohio Florida Georgia Baltimore Cleveland Houston Detroit
""".split()
_BULLETS = ("- ", "* ", "• ", "1. ", "2. ", "3. ", "", "# ")

#: A stretch of a line and the type it has, or "" where it is plain.
Part = tuple[str, str]


class Notes:
    """Makes note fragments out of templates and names that really occur in running text."""

    def __init__(self, drugs: Counter[str], diseases: Counter[str], seed: int = SEED) -> None:
        self._rng = random.Random(seed)
        self._drugs = (list(drugs), [count**0.5 for count in drugs.values()])
        self._diseases = (list(diseases), [count**0.5 for count in diseases.values()])
        self._makers = (
            self._plain, self._plain, self._history, self._medications, self._medication, self._problem, self._sentence,
            self._treatment, self._system, self._person,
        )  # fmt: skip

    def _plain(self) -> list[Part]:
        return [(self._rng.choice(_PLAIN), "")]

    def _history(self) -> list[Part]:
        return [(f"{self._rng.choice(_HISTORY)}: ", ""), *self._several(5)]

    def _medications(self) -> list[Part]:
        head = f"{self._rng.choice(_LISTS)}: "
        return [(head, ""), self._drug(), self._dose(), (", ", ""), self._drug(), self._dose()]

    def _medication(self) -> list[Part]:
        return [(self._rng.choice(_BULLETS), ""), self._drug(), self._dose()]

    def _problem(self) -> list[Part]:
        action = self._rng.choice(("continue", "start", "hold", "on", "stop", "resume"))
        return [(self._rng.choice(_BULLETS), ""), self._disease(), (f": {action} ", ""), self._drug(), self._dose()]

    def _sentence(self) -> list[Part]:
        who = self._rng.choice(("The patient", "This is a 67-year-old man who", "She", self._name(), "Pt"))
        does = self._rng.choice(("has a history of", "was admitted with", "presents with", "has", "denies"))
        return [(f"{who} {does} ", ""), *self._several(4)]

    def _treatment(self) -> list[Part]:
        begin = self._rng.choice(("Started on", "Treated with", "Continue", "Takes", "Allergies:", "Discharged on"))
        why = self._rng.choice((" for ", " because of ", " given "))
        return [(f"{begin} ", ""), self._drug(), (why, ""), self._disease(), (".", "")]

    def _system(self) -> list[Part]:
        rng = self._rng
        says = rng.choice(("Denies", "Endorses", "Positive for", "No"))
        return [(f"{rng.choice(_BULLETS)}{rng.choice(_SYSTEMS)}: {says} ", ""), *self._several(3)]

    def _person(self) -> list[Part]:
        rng = self._rng
        name, number = self._name(), "".join(rng.choices("0123456789", k=rng.choice((5, 7, 8))))
        date = f"{rng.randint(1, 12)}/{rng.randint(1, 28)}/{rng.randint(1990, 2025)}"
        sex = rng.choice(("male", "female", "woman", "man"))
        forms = (
            f"Name: {name}", f"Attending: Dr. {name}", f"MRN: {number}", f"Date of admission: {date}", f"DOB: {date}",
            f"{name} is a {rng.randint(18, 95)}-year-old {sex} who presents today for follow-up.",
            f"Social History: lives in {rng.choice(_PLACES)} with {rng.choice(('his wife', 'two children'))}.",
            f"Seen with {name} on {date}.", f"Patient was born and raised in {rng.choice(_PLACES)}.",
        )  # fmt: skip
        return [(rng.choice(forms), "")]

    def _name(self) -> str:
        rng = self._rng
        first = rng.choice(_GIVEN) if rng.random() < 0.5 else rng.choice(("Mr.", "Ms.", "Mrs.", "Dr."))
        return f"{first} {rng.choice(_SURNAMES)}"

    def _drug(self) -> Part:
        name = self._rng.choices(*self._drugs)[0]
        return (name.title() if self._rng.random() < 0.5 else name, "Chemical")

    def _disease(self) -> Part:
        return (self._rng.choices(*self._diseases)[0], "Disease")

    def _dose(self) -> Part:
        rng = self._rng
        amount = rng.choice((1, 2, 2.5, 5, 10, 20, 25, 40, 50, 75, 81, 100, 150, 325, 500, 850, 1000))
        return (f" {amount} {rng.choice(_UNITS)} {rng.choice(_ROUTES)} {rng.choice(_TIMES)}", "")

    def _several(self, most: int) -> list[Part]:
        count = self._rng.randint(1, most)
        parts: list[Part] = []
        for k in range(count):
            left = count - 1 - k
            between = "." if left == 0 else self._rng.choice((" and ", ", or ", ", ")) if left == 1 else ", "
            parts += [self._disease(), (between, "")]
        return parts

    def document(self) -> tuple[str, np.ndarray]:
        """One fragment of a few lines and its label probabilities."""
        text = ""
        spans: list[tuple[int, int, str]] = []
        for _ in range(self._rng.randint(3, 14)):
            for part, kind in self._rng.choice(self._makers)():
                if kind:
                    spans.append((len(text), len(text) + len(part), kind))
                text += part
            text += " "
        offsets = words(text)
        labels = np.zeros((len(offsets), len(LABELS)), dtype=np.uint8)
        at = 0
        for i, (begin, end) in enumerate(offsets):
            while at < len(spans) and spans[at][1] <= begin:
                at += 1
            inside = at < len(spans) and spans[at][0] < end
            name = ("B-" if begin == spans[at][0] else "I-") + spans[at][2] if inside else "O"
            labels[i, LABELS.index(name)] = 255
        return text.strip(), labels
