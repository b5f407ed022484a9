"""Which quotations an English task is about, word for word.

Two rules. A word, a phrase, letters or an idiom that is named as such is kept ("the meaning of
the word 'ubiquitous'"), unless the answer is a new text that has to contain it ("write a story
with the word 'storm'") or is about what it means ("a synonym for the word 'happy'"): then its
translation does as well. A sentence is kept where the task works on its form ("correct",
"rewrite", "translate", "the past tense of"), not where it works on its meaning ("summarise",
"classify", "paraphrase"). Speech and titles are translated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bactrian.data.spans.find import Found

Look = Callable[[str], "Iterator[Found]"]

_QUOTATION = re.compile(
    r"""
      "(?=[^\s"])[^"\n]{1,400}"(?!\w) | “[^“”\n]{1,400}[”"] | „[^„“”\n]{1,400}[“”]
    | «[^«»\n]{1,400}»
    | (?<!\w)'(?=[^\s'])(?:[^'\n]|(?<=\w)'(?=\w)){1,300}'(?!\w)
    | (?<!\w)‘(?:[^‘’\n]|(?<=\w)’(?=\w)){1,300}’(?!\w) | (?<!\w)`[^`'\n]{1,300}'(?!\w)
    | 「[^「」\n]{1,400}」 | 『[^『』\n]{1,400}』
    """,
    re.VERBOSE,
)
_MARKS = re.compile(r"""["“„«'‘`「『]""")
_WORD = (
    r"words?|letters?|vowels?|consonants?|syllables?|phrases?|idioms?|idiomatic expressions?|"
    r"expressions?|figure of speech|proverbs?|sayings?|adages?|acronyms?|abbreviations?|initialism|"
    r"prefix(?:es)?|suffix(?:es)?|(?:phrasal )?verbs?|nouns?|adjectives?|adverbs?|pronouns?|"
    r"prepositions?|conjunctions?|homophones?|homonyms?|contractions?|slang|characters?|strings?|"
    r"anagrams?|palindromes?|punctuation marks?|spelling|pun|tongue twister"
)
_LINK = r"\s*(?:(?:in|from) English|below|as|of|is|are)?\s*[:,\-–]?\s*$"
_NAMED = re.compile(rf"\b(?:{_WORD}){_LINK}", re.IGNORECASE)
_ASKED = re.compile(
    r"\b(?:mean(?:ing|s)? of(?: the (?!terms?\b|concept)[\w-]+)?|what is meant by|"
    r"rhym\w+ (?:with|for|to)|spell(?:ing)?(?: of)?|pronounc\w+(?: of)?|translat\w+|"
    r"conjugat\w+|capitali[sz]e|anagrams? (?:of|for|from)|plural(?: form)? (?:of|for)|"
    r"(?:tense|form|participle|gerund) (?:of|for)(?: the [\w-]+)?|how do you say|"
    r"(?:etymology|origin) of|"
    r"(?:acronym|abbreviation|contraction|homophone|rhyme|translation)s? (?:for|of))"
    r"\s*[:,]?\s*$",
    re.IGNORECASE,
)
_MEANS = re.compile(r"\s*(?:mean|means|stand for|stands for|is spelled)\b", re.IGNORECASE)
_DOES = re.compile(r"\bwhat (?:does|do)(?: the (?!terms?\b|concept)\w+)?\s*$", re.IGNORECASE)
_SENTENCE = re.compile(
    r"(?:[:\n]|\b(?:sentences?|statements?|text|line|clause|question|passage|paragraph|quote|this|"
    r"following|below|rewrite|correct|fix|edit|punctuate|parse|change|convert)"
    r"\s*(?:below|as|in|of|is|given)?\s*[,\-–]?)\s*$",
    re.IGNORECASE,
)
_ON_FORM = re.compile(
    r"\b(?:(?:in)?correct(?:ly|ed|ness)?|fix|proofread|punctuat\w+|capitali[sz]e|"
    r"(?:un)?grammar|(?:un)?grammatical\w*|"
    r"spell\w*|misspel\w+|typos?|errors?|mistakes?|pars(?:e|ing)|diagram|translat\w+|tenses?|"
    r"passive|active voice|plural|verbs?|nouns?|adjectives?|adverbs?|pronouns?|prepositions?|"
    r"subject|predicate|clauses?|letters|vowels?|syllables?|rearrange|unscramble|rhym\w+|"
    r"pronounc\w+|alliteration|homophones?|contractions?|commas?|apostrophes?|"
    r"parts? of speech|regex|regular expression|pig latin|morse|cipher|palindromes?|anagrams?|"
    r"reverse|characters|interrogative|negat(?:ive form|e)|reported speech|indirect speech|"
    r"(?:number of|many|count the) words|word count)\b",
    re.IGNORECASE,
)
_MAYBE_FORM = re.compile(r"\b(?:re-?write|edit|change|convert|transform|revise|modify)\b", re.I)
_ON_MEANING = re.compile(
    r"\b(?:synonym\w*|antonym\w*|opposite|similar|paraphras\w+|re-?phrase|re-?word|summar\w+|"
    r"classify|categori[sz]e|sentiment|tone|emotions?|mood|evaluate|respond|reply|continue|"
    r"complete|associated|related|headlines?|topics?|alternative|another word|substitute|"
    r"equivalent|hypernym|closest|replacement)\b",
    re.IGNORECASE,
)
_ON_STYLE = re.compile(
    r"\b(?:more|less|easier|better|concise\w*|(?:in)?formal\w*|emphasi[sz]\w+|different(?:ly)?|"
    r"own words|meaning|descriptive|shorter|longer|simpl\w+|creative\w*|style|interesting|vivid|"
    r"polite\w*|persuasive|perspective|metaphor|simile|stronger|humou?r\w*|funny|rhetorical|clarity|slogan|"
    r"adding|add|includ\w+|without|clear\w*|impact\w*|details?|sarcas\w+|poetic\w*)\b",
    re.IGNORECASE,
)
_NEW_TEXT = re.compile(
    r"\b(?:writ(?:e|ing)|create|generate|compose|construct|come up with|make(?: up)?|craft|produce|"
    r"develop|design|brainstorm|build|form|tell|give|suggest|draft|start|begin|use|using|imagine|"
    r"invent|think of|formulate|provide|compile|devise|put)\b"
    r"[^.!?\n]{0,120}?(?:\b(?:us(?:ing|es?)|contain(?:ing|s)?|includ(?:ing|es?)|with|incorporat\w+|"
    r"featur\w+|around|about|based on|inspired by|describ\w+|combin\w+|begin\w*|start\w*|end\w*|"
    r"has|have|from|given|prompt|out of|compris\w+|involv\w+|of)\b|$)|"
    r"\b(?:use|put|combine) the (?:\w+ )?(?:word|phrase)|"
    r"\busing the|\b(?:containing|includ(?:es?|ing)) the",
    re.IGNORECASE,
)
_ONE_WORD = re.compile(
    r"rhym|\bword that|\bwords? (?:from|for|starting)|anagram|letters? |acronym|idiom|"
    r"mean(?:ing|s)? of|pronounc|spell|translat|plural|tense|form of|prefix|suffix",
    re.IGNORECASE,
)
_LIST_GAP = re.compile(r"\s*(?:,|/|&|;)?\s*(?:and|or|to|with|vs\.?|versus|into|from)?\s*", re.I)
_STOP = re.compile(r"[.!?](?=\s)|\n\n")
_BEFORE = 60
_ANYTHING = re.compile(r"\w")


def no(_: str) -> Iterator[Found]:
    """Yield no quotation."""
    return iter(())


def every(value: str) -> Iterator[Found]:
    """Yield every quotation with its marks."""
    if _MARKS.search(value):
        for found in _QUOTATION.finditer(value):
            if _ANYTHING.search(found[0]):
                yield found.start(), found.end(), "quote"


def mentioned(value: str) -> Iterator[Found]:
    """Yield the quotations, marks included, that the task is about."""
    if not _MARKS.search(value):
        return
    chain_end = -1
    for start, end, kind in every(value):
        linked = chain_end >= 0 and _LIST_GAP.fullmatch(value, chain_end, start)
        if linked or _is_mentioned(value, start, end):
            chain_end = end
            yield start, end, kind


def _is_mentioned(value: str, start: int, end: int) -> bool:
    before = value[max(0, start - _BEFORE) : start]
    sentence = _sentence_before(value, start)
    told = sentence + " " + value[end : end + 80].split("\n")[0]
    if _ASKED.search(before) or (_DOES.search(before) and _MEANS.match(value, end)):
        return not _ON_MEANING.search(sentence)
    if _NAMED.search(before):
        return not _ON_MEANING.search(told) and (
            not _NEW_TEXT.search(told) or bool(_ONE_WORD.search(sentence))
        )
    return bool(_SENTENCE.search(before)) and _works_on_form(told)


def _works_on_form(told: str) -> bool:
    """Grammar, spelling, letters and translation do; rewriting does where no style is asked for."""
    if _ON_MEANING.search(told):
        return False
    if _ON_FORM.search(told):
        return True
    return bool(_MAYBE_FORM.search(told)) and not _ON_STYLE.search(told)


def _sentence_before(value: str, start: int) -> str:
    """From the last end of a sentence, or 200 characters back, to the quotation."""
    first = max(0, start - 200)
    # the stop right before the quotation ends the sentence that asks for it
    stops = [stop.end() for stop in _STOP.finditer(value, first, max(first, start - 3))]
    return value[stops[-1] if stops else first : start]
