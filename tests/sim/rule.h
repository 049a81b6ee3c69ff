/* Rules of the cluster that a run can be told to break, to show that the checks see it. Production
 * code knows nothing of them: it is the simulated store that breaks them. */
#ifndef HOLDFAST_TESTS_SIM_RULE_H
#define HOLDFAST_TESTS_SIM_RULE_H

/* X(ENUM, name, what is broken) */
#define RULES(X)                                                                             \
    X(NONE, "none", "nothing")                                                               \
    X(LEASE, "lease", "a claim gives out the block of numbers that the last owner has")      \
    X(COMMIT, "commit", "a change is confirmed when it is asked for, not when it is stored") \
    X(FENCE, "fence", "a claim does not raise the fence")                                    \
    X(STALE, "stale", "a write with a stale fence is carried out")                           \
    X(MARK, "mark", "a replay window is confirmed and not stored")                           \
    X(EXCHANGE, "exchange", "a claim does not tell what was answered before")                \
    X(ATOMIC, "atomic", "an event is logged without its exchange")                           \
    X(RELATION, "relation", "an Observe relation is confirmed and not stored")               \
    X(REMOVAL, "removal", "the end of a relation is confirmed and not stored")               \
    X(HEIR, "heir", "a claim does not tell who observes what")                               \
    X(OBLIGED, "obliged", "the list of sessions with relations is empty")                    \
    X(NUMBER, "number", "a topic is read with the number of another's newer change")

enum rule {
#define RULE_ENUM(id, name, what) RULE_##id,
    RULES(RULE_ENUM)
#undef RULE_ENUM
        RULES_COUNT
};

#endif
