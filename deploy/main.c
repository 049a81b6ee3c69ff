#include "deploy/command.h"
#include "shared/log.h"
#include "version.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    const char *verb; /* the second word, or NULL */
    const char *summary;
    enum exit_status (*run)(int argc, char *const *argv);
};

static const struct command commands[] = {
    {"up", NULL, "run one node: a load balancer and its workers", up_command},
    {"psk", "gen", "make a fresh identity and key for a --psk-file", psk_gen_command},
    {"cid", "decode", "show what a Connection ID says", cid_decode_command},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_help(void)
{
    (void)printf("Usage: holdfast COMMAND [OPTION]...\n"
                 "Holdfast, a clustered DTLS and CoAP front end.\n\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s%s%s", commands[i].name, commands[i].verb ? " " : "",
                       commands[i].verb ? commands[i].verb : "");
        (void)printf("  %-10s  %s\n", name, commands[i].summary);
    }
    (void)printf("\n`holdfast COMMAND --help` tells more; --version shows the version.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    const char *verb = argc > 2 ? argv[2] : NULL;
    if (!name) {
        (void)fprintf(stderr, "holdfast: the command is missing; --help lists the commands\n");
        return EXIT_UNUSABLE;
    }
    if (strcmp(name, "--version") == 0) {
        (void)printf("holdfast %s\n", HOLDFAST_VERSION);
        return EXIT_DONE;
    }

    bool known = false;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) != 0)
            continue;
        known = true;
        if (!commands[i].verb)
            return (int)commands[i].run(argc - 1, argv + 1);
        if (verb && strcmp(verb, commands[i].verb) == 0)
            return (int)commands[i].run(argc - 2, argv + 2);
    }
    if (strcmp(name, "--help") == 0 || (known && verb && strcmp(verb, "--help") == 0)) {
        print_help();
        return EXIT_DONE;
    }
    char quoted[64];
    char quoted_verb[64] = "";
    if (known && verb)
        log_quote(quoted_verb, sizeof quoted_verb, verb, strlen(verb));
    (void)fprintf(stderr, "holdfast: %s%s%s: there is no such command; --help lists the commands\n",
                  log_quote(quoted, sizeof quoted, name, strlen(name)), quoted_verb[0] ? " " : "",
                  quoted_verb);
    return EXIT_UNUSABLE;
}
