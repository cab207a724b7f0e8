"""Where the three do not agree, block by block, and why.

Everywhere else the rule of SAME holds: residue's class is the one the program expects, and the
others' are the same class in their words. A difference that is not listed here fails the test, and so
does one that is listed and no longer happens.
"""

# residue's class -> LeakSanitizer's, Valgrind's.
SAME = {
    "reachable": ("reachable", "reachable"),
    "leaked": ("direct", "definitely"),
    "indirect": ("indirect", "indirectly"),
    # The two differences that the definitions make, always and everywhere:
    "interior": ("reachable", "possibly"),
    "stale": ("direct", "definitely"),
}

# Reasons that hold for whole classes of blocks; docs/leak-verdict.md explains each.
CLASS_REASONS = {
    "no-interior-class": "LeakSanitizer takes a pointer to the inside for a pointer",
    "no-stale-class": "neither tool reads dead memory, so there a stale block is simply lost",
    "cycle-has-no-head": "LeakSanitizer calls a block indirect that any leaked block points at, so that "
                         "a cycle nothing else points at has no direct member",
}

# A cycle that nothing outside points at: how many of its members each tool calls a head.
CYCLE_HEADS = {"residue": 1, "LeakSanitizer": 0, "Valgrind": 1}

REASONS = {
    "end-pointer": "the only pointer is one past the end: residue grants a range its block, as interior; "
                   "the others see an address outside every block",
    "end-is-neighbour": "LeakSanitizer's allocator has no headers: the end of one block is the start of "
                        "the next, and the pointer to the end keeps the neighbour",
    "mapping-is-no-root": "LeakSanitizer does not look into memory the program mapped itself, unless it "
                          "is told to (__lsan_register_root_region)",
    "thread-argument": "LeakSanitizer starts threads through a function of its own, so that the C "
                       "library's record of the thread does not hold the program's argument",
    "thread-result": "LeakSanitizer does not look at the C library's records of threads that have "
                     "ended, from which pthread_join would still fetch the result",
    "cached-stack-read": "Valgrind takes the C library's cache of ended threads' stacks for live memory",
    "spare-capacity": "residue recognises the vector and knows where it ends; the others see words of a "
                      "live block",
    "exception-header": "residue knows the header that the C++ runtime puts in front of a thrown object; "
                        "Valgrind sees a pointer to the inside",
    "child-of-stale": "nothing alive points at the head, so for the others it is lost and this hangs on "
                      "it; for residue dead memory still leads to both",
}

# (theme, block): {tool: (its class, reason)}
DIFFERENCES = {
    ("past-end", "past_end"): {"LeakSanitizer": ("direct", "end-pointer"),
                               "Valgrind": ("definitely", "end-pointer")},
    ("neighbour", "lost_behind"): {"LeakSanitizer": ("reachable", "end-is-neighbour")},
    ("mapped-roots", "in_private_mapping"): {"LeakSanitizer": ("direct", "mapping-is-no-root")},
    ("mapped-roots", "in_shared_mapping"): {"LeakSanitizer": ("direct", "mapping-is-no-root")},
    ("second-thread", "argument"): {"LeakSanitizer": ("direct", "thread-argument")},
    ("second-thread", "child_of_argument"): {"LeakSanitizer": ("indirect", "thread-argument")},
    ("joined", "result_of_joined"): {"Valgrind": ("reachable", "cached-stack-read")},
    ("unjoined", "result_of_unjoined"): {"LeakSanitizer": ("direct", "thread-result")},
    ("detached", "child_on_dead_stack"): {"LeakSanitizer": ("indirect", "child-of-stale"),
                                          "Valgrind": ("indirectly", "child-of-stale")},
    ("unguarded", "below_dead_stack"): {"LeakSanitizer": ("direct", "mapping-is-no-root")},
    ("coroutine", "below_coroutines"): {"LeakSanitizer": ("direct", "mapping-is-no-root")},
    ("exception", "exception"): {"Valgrind": ("possibly", "exception-header")},
    ("exception", "detail_of_exception"): {"Valgrind": ("possibly", "exception-header")},
    ("spare", "element3"): {"LeakSanitizer": ("reachable", "spare-capacity"),
                            "Valgrind": ("reachable", "spare-capacity")},
    ("spare", "element4"): {"LeakSanitizer": ("reachable", "spare-capacity"),
                            "Valgrind": ("reachable", "spare-capacity")},
    ("freed", "child_of_small"): {"LeakSanitizer": ("indirect", "child-of-stale"),
                                  "Valgrind": ("indirectly", "child-of-stale")},
    ("freed", "child_of_medium"): {"LeakSanitizer": ("indirect", "child-of-stale"),
                                   "Valgrind": ("indirectly", "child-of-stale")},
}
