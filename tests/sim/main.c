/* holdfast-sim: runs seeds and says which of them violate what. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const rule_names[RULES_COUNT] = {
#define RULE_NAME(id, name, what) [RULE_##id] = name,
    RULES(RULE_NAME)
#undef RULE_NAME
};
static const char *const invariant_names[INVARIANTS_COUNT] = {
#define INVARIANT_NAME(id, name, what) [INVARIANT_##id] = name,
    INVARIANTS(INVARIANT_NAME)
#undef INVARIANT_NAME
};

static void print_usage(FILE *file)
{
    fputs("usage: holdfast-sim [--seed N | --seeds FROM..TO] [--trace] [--calm] [--twice]\n"
          "                    [--break RULE [--seen-as NAME]]\n"
          "  --seed N          one run; the same N is the same run\n"
          "  --seeds FROM..TO  one after the other; 1..20 if nothing is said\n"
          "  --trace           every step\n"
          "  --calm            no faults, a perfect network\n"
          "  --twice           runs each seed twice: both must be the same\n"
          "  --seen-as NAME    with --break: the invariant that has to be violated; or \"late\"\n"
          "  --break RULE      the store breaks it; success is that some seed shows it:\n",
          file);
#define RULE_LINE(id, name, what) fprintf(file, "      %-10s %s\n", name, what);
    RULES(RULE_LINE)
#undef RULE_LINE
    fputs("exit status: 0 as it should be, 1 not, 2 unusable options\n", file);
}

struct arguments {
    struct sim_options options;
    uint64_t first;
    uint64_t last;
    bool twice;
    const char *seen_as; /* NULL: any */
};

static bool parse_rule(const char *text, enum rule *rule)
{
    for (int i = 0; i < RULES_COUNT; i++) {
        if (text && strcmp(text, rule_names[i]) == 0) {
            *rule = (enum rule)i;
            return true;
        }
    }
    return false;
}

static bool parse_seeds(const char *text, uint64_t *first, uint64_t *last)
{
    char *end = NULL;
    if (!text || *text < '0' || *text > '9')
        return false;
    *first = *last = strtoull(text, &end, 10);
    if (strncmp(end, "..", 2) == 0)
        *last = strtoull(end + 2, &end, 10);
    return *end == 0 && *first <= *last;
}

static bool parse(struct arguments *arguments, int count, char **texts)
{
    for (int i = 1; i < count; i++) {
        const char *text = texts[i], *value = texts[i + 1];
        if (strcmp(text, "--trace") == 0) {
            arguments->options.trace = true;
        } else if (strcmp(text, "--calm") == 0) {
            arguments->options.calm = true;
        } else if (strcmp(text, "--twice") == 0) {
            arguments->twice = true;
        } else if (strcmp(text, "--seed") == 0 || strcmp(text, "--seeds") == 0) {
            if (!parse_seeds(value, &arguments->first, &arguments->last))
                return false;
            i++;
        } else if (strcmp(text, "--seen-as") == 0 && value) {
            arguments->seen_as = value;
            i++;
        } else if (strcmp(text, "--break") == 0) {
            if (!parse_rule(value, &arguments->options.broken))
                return false;
            i++;
        } else {
            return false;
        }
    }
    return true;
}

static void print_failure(uint64_t seed, const struct sim_result *result)
{
    puts("last steps:");
    sim_print_last();
    printf("seed %llu: %s: %s\n", (unsigned long long)seed, invariant_names[result->violated],
           result->why);
}

static void print_late(uint64_t seed, const struct sim_result *result)
{
    printf(
        "seed %llu: late: %zu silent observers learnt what they were owed only when they spoke\n",
        (unsigned long long)seed, result->late);
}

/* A broken rule is to be seen. */
static int run_broken(const struct arguments *arguments)
{
    struct sim_options options = arguments->options;
    for (uint64_t seed = arguments->first; seed <= arguments->last; seed++) {
        options.seed = seed;
        const struct sim_result result = sim_run(&options);
        const char *name = invariant_names[result.violated];
        if (result.late > 0) {
            print_late(seed, &result);
            if (arguments->seen_as && strcmp(arguments->seen_as, "late") == 0)
                return 0;
        }
        if (result.violated == INVARIANT_NONE)
            continue;
        printf("%s: seed %llu shows it: %s: %s\n", rule_names[options.broken],
               (unsigned long long)seed, name, result.why);
        if (!arguments->seen_as || strcmp(arguments->seen_as, name) == 0)
            return 0;
    }
    printf("%s: no seed of %llu..%llu shows it as it should\n", rule_names[options.broken],
           (unsigned long long)arguments->first, (unsigned long long)arguments->last);
    return 1;
}

static int run_all(const struct arguments *arguments)
{
    struct sim_options options = arguments->options;
    struct sim_result sum = {0};
    uint64_t failed = 0;
    for (uint64_t seed = arguments->first; seed <= arguments->last; seed++) {
        options.seed = seed;
        const struct sim_result result = sim_run(&options);
        if (result.violated != INVARIANT_NONE) {
            print_failure(seed, &result);
            failed++;
        } else if (result.late > 0) {
            print_late(seed, &result);
            failed++;
        } else if (arguments->twice && sim_run(&options).fingerprint != result.fingerprint) {
            printf("seed %llu: two runs of it differ\n", (unsigned long long)seed);
            failed++;
        }
        sum.events += result.events;
        sum.answers += result.answers;
        sum.claims += result.claims;
        sum.handshakes += result.handshakes;
        sum.twice += result.twice;
        sum.states += result.states;
        sum.late += result.late;
    }
    printf("seeds %llu..%llu: %llu failed; answers=%zu events=%zu handshakes=%zu claims=%zu "
           "twice=%zu states=%zu late=%zu\n",
           (unsigned long long)arguments->first, (unsigned long long)arguments->last,
           (unsigned long long)failed, sum.answers, sum.events, sum.handshakes, sum.claims,
           sum.twice, sum.states, sum.late);
    return failed > 0;
}

int main(int count, char **texts)
{
    struct arguments arguments = {.first = 1, .last = 20};
    if (count == 2 && strcmp(texts[1], "--help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (!parse(&arguments, count, texts)) {
        print_usage(stderr);
        return 2;
    }
    return arguments.options.broken == RULE_NONE ? run_all(&arguments) : run_broken(&arguments);
}
