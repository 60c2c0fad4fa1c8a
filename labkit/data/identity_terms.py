"""Words that name who a person is, group by group, and first names by group.

Lists are short on purpose: only words that stand in the same place of a sentence in every group, so that exchanging them
leaves the grammar as it was. The words of a group are aligned: the k-th of one group is exchanged with the k-th of another.

What they cannot do: many identities have no entry; a word may mean something else (``AMBIGUOUS`` ones are put into
sentences, but not looked for in them: "straight", "black"; a person's name may be "Christian"); names tell of class and age as well as of a group, and what
people take a name to tell differs by place and time. English of the United States throughout. Give your own lists by
``terms=``.

Sources: pairs of gendered words after T. Bolukbasi et al., 2016, arXiv 1607.06520, and J. Zhao et al., 2018, arXiv
1804.06876; terms of religion, orientation and ethnicity after L. Dixon et al., 2018, doi 10.1145/3278721.3278729; names by
group from M. Bertrand and S. Mullainathan, 2004, doi 10.1257/0002828042002561, who chose them by Massachusetts birth
certificates of 1974 to 1979; names of women and men among the most given in the United States from 1920 to 2019 (Social
Security Administration). The choice from these is our own.
"""

from __future__ import annotations

from collections.abc import Mapping

Terms = Mapping[str, tuple[str, ...]]


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


GENDER: Terms = {
    "female": _listed(
        "she her her herself woman women girl girls lady ladies female females mother mothers mom moms daughter daughters "
        "sister sisters wife wives aunt niece grandmother queen queens princess actress actresses heroine heroines "
        "girlfriend girlfriends waitress widow bride"
    ),
    "male": _listed(
        "he him his himself man men boy boys gentleman gentlemen male males father fathers dad dads son sons brother "
        "brothers husband husbands uncle nephew grandfather king kings prince actor actors hero heroes boyfriend boyfriends "
        "waiter widower groom"
    ),
}
NAMES_BY_GENDER: Terms = {
    "female": _listed(
        "mary jennifer linda elizabeth susan jessica sarah karen lisa nancy emily michelle laura emma rachel amy anna "
        "julia alice helen diane kate jane"
    ),
    "male": _listed(
        "john michael robert william david james joseph thomas charles daniel matthew mark steven paul kevin brian george "
        "peter henry frank adam ben jack"
    ),
}
NAMES_BY_RACE: Terms = {
    "white": _listed(
        "allison anne carrie emily jill laurie kristen meredith sarah brad brendan geoffrey greg brett jay matthew neil "
        "todd"
    ),
    "black": _listed(
        "aisha ebony keisha kenya latonya lakisha latoya tamika tanisha darnell hakim jamal jermaine kareem leroy rasheed "
        "tremayne tyrone"
    ),
}
RELIGION: Terms = {
    "christian": ("christian", "christians", "christianity", "church", "churches", "bible"),
    "jewish": ("jewish", "jews", "judaism", "synagogue", "synagogues", "torah"),
    "muslim": ("muslim", "muslims", "islam", "mosque", "mosques", "koran"),
}
ORIENTATION: Terms = {
    "heterosexual": ("heterosexual", "heterosexuals", "straight"),
    "homosexual": ("homosexual", "homosexuals", "gay"),
}
ETHNICITY: Terms = {
    "white": ("white", "european", "caucasian"),
    "black": ("black", "african", "african"),
    "asian": ("asian", "asian", "asian"),
    "latino": ("latino", "latino", "hispanic"),
}
NATIONALITY: Terms = {
    "American": ("american", "americans", "america"),
    "Chinese": ("chinese", "chinese", "china"),
    "German": ("german", "germans", "germany"),
    "Indian": ("indian", "indians", "india"),
    "Mexican": ("mexican", "mexicans", "mexico"),
    "Russian": ("russian", "russians", "russia"),
}
ATTRIBUTES: Mapping[str, Terms] = {
    "ethnicity": ETHNICITY,
    "gender": GENDER,
    "names by gender": NAMES_BY_GENDER,
    "names by race": NAMES_BY_RACE,
    "nationality": NATIONALITY,
    "orientation": ORIENTATION,
    "religion": RELIGION,
}
# Alone in a template's gap only words of one grammar will do: adjectives, or names.
IN_TEMPLATES: Mapping[str, Terms] = {
    "ethnicity": ETHNICITY,
    "names by gender": NAMES_BY_GENDER,
    "names by race": NAMES_BY_RACE,
    "nationality": {group: words[:1] for group, words in NATIONALITY.items()},
    "orientation": {"heterosexual": ("heterosexual", "straight"), "homosexual": ("homosexual", "gay")},
    "religion": {group: words[:1] for group, words in RELIGION.items()},
}
# Of more than one meaning: "a straight story", "a black comedy", "the bible of the trade".
AMBIGUOUS = frozenset({"asian", "black", "european", "african", "jay", "bible", "kenya", "mark", "straight", "white"})
# Adjectives that say nothing of who a person is by law or custom, to be exchanged with each other for comparison.
NEUTRAL = _listed(
    "coastal distant eastern local nearby northern rural seated sitting southern standing tall traveling urban visiting "
    "waiting walking western working"
)
# What may follow "her" where it is no possessive: words after which no noun comes directly.
AFTER_OBJECT = frozenset(
    _listed(
        "a about above after again against all along alone an and are around as at away back be because before behind but by "
        "down for from had has have he how if in into is it like more not of off on or out over she so than that the them then "
        "they this through to too under up very was we were what when where which while who why with without you"
    )
)
