"""Spellings of function names: what gdb prints beside a name, and how to take it off.

residue prints no parameters and no return types. gdb leaves them out only of functions with debug
information, and not even of all of those: its parser gives up on lambdas with `auto` parameters.
"""
import re

OPENING, CLOSING = "(<{[", ")>}]"
QUALIFIERS = re.compile(r"(?: const| volatile| &&?| noexcept)+$")
CLONE = re.compile(r"(?: \[clone [^\]]*\])+$")
# A parameter list may not follow these: the brackets are the name's own.
NAMES_WITH_PARENTHESES = ("operator", "operator co_await")


def without_clone(name):
    """Clones that the compiler made: gdb prints f.cold(int) as `f(int) [clone .cold]`."""
    return CLONE.sub("", name)


def brackets(name):
    """The nesting depth at each character of `name`, as far as it is well formed.

    The brackets of operators (operator<, operator->, operator()) do not nest.
    """
    depths, depth, i = [], 0, 0
    while i < len(name):
        word = re.match(r"operator(\(\)|\[\]|<=>|<<=?|>>=?|->\*?|<=?|>=?)", name[i:])
        if word and (i == 0 or not (name[i - 1].isalnum() or name[i - 1] == "_")):
            depths += [depth] * word.end()
            i += word.end()
            continue
        if name[i] in OPENING:
            depth += 1
        depths.append(depth)
        if name[i] in CLOSING and not name[i - 1:i + 1] == "->":
            depth -= 1
        i += 1
    return depths


def without_parameters(name):
    """`ns::f<int>(int, char) const` → `ns::f<int>`."""
    plain = QUALIFIERS.sub("", name)
    depths = brackets(plain)
    if not plain.endswith(")") or depths[-1] != 1:
        return name
    start = len(plain) - 1
    while start > 0 and not (plain[start] == "(" and depths[start] == 1):
        start -= 1
    before = plain[:start]
    # "(anonymous namespace)" is no parameter list either.
    return before if before and not before.endswith("::") else name


def without_return_type(name):
    """`std::pair<int, int> ns::f<int>` → `ns::f<int>`; conversion operators keep their type."""
    depths = brackets(name)
    start = 0
    operator = re.search(r"\boperator\b", name)
    end = operator.start() if operator else len(name)
    for i in range(end):
        if name[i] == " " and depths[i] == 0:
            start = i + 1
    return name[start:]


def tight(name):
    """`vector<vector<int> >` and `vector<vector<int>>` are one type; so is `f (int)` in one."""
    return re.sub(r">\s+(?=>)", ">", name)


def comparable(name, from_symbol_table):
    """The part of gdb's name that residue must print, in the spelling used for comparing."""
    if name is None:
        return None
    name = without_parameters(without_clone(name))
    if from_symbol_table:
        name = without_return_type(name)
    return tight(name)
