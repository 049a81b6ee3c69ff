#include "deploy/command.h"
#include "shared/keys.h"
#include "shared/limits.h"
#include "shared/option.h"
#include "shared/psk_file.h"

#include <stdio.h>
#include <string.h>

#define KEY_LENGTH_DEFAULT 16
#define KEY_LENGTH_MIN 16 /* as many octets as the weakest cipher's key has */
#define IDENTITY_RANDOM 8 /* octets: two devices of a fleet of millions will not share one */

static enum status take_identity(void *target, const char *value, char *why, size_t why_size)
{
    if (!psk_file_can_hold(value, strlen(value))) {
        (void)snprintf(why, why_size,
                       "want 1 to %d octets without control characters, and no # or blank in front",
                       IDENTITY_LENGTH_MAX);
        return STATUS_MALFORMED;
    }
    *(const char **)target = value;
    return STATUS_OK;
}

static void print_hex(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        (void)printf("%02x", bytes[i]);
}

enum exit_status psk_gen_command(int argc, char *const *argv)
{
    const char *identity = NULL;
    uint64_t key_length = KEY_LENGTH_DEFAULT;
    const struct option_row rows[] = {
        {.name = "identity",
         .argument = "NAME",
         .help = "the identity; otherwise device- and 16 random hex digits",
         .kind = OPTION_CUSTOM,
         .target = &identity,
         .parse = take_identity},
        {.name = "bytes",
         .argument = "N",
         .help = "octets of the key, 16 to 64 (16)",
         .kind = OPTION_NUMBER,
         .target = &key_length,
         .min = KEY_LENGTH_MIN,
         .max = PSK_LENGTH_MAX},
    };
    const struct option_table table = {
        .program = "holdfast psk gen",
        .summary = "Prints a fresh identity and key as a line of a --psk-file.",
        .rows = rows,
        .count = sizeof rows / sizeof rows[0],
    };
    switch (option_parse(&table, argc, argv)) {
    case OPTION_DONE:
        return EXIT_DONE;
    case OPTION_UNUSABLE:
        return EXIT_UNUSABLE;
    case OPTION_RUN:
        break;
    }

    enum exit_status result = EXIT_FAILED;
    uint8_t key[PSK_LENGTH_MAX];
    uint8_t name[IDENTITY_RANDOM];
    if (keys_random(key, key_length) != STATUS_OK || keys_random(name, sizeof name) != STATUS_OK) {
        option_complain(&table, "--bytes", "the system gives no random numbers");
        goto done;
    }
    if (identity) {
        (void)printf("%s:", identity);
    } else {
        (void)printf("device-");
        print_hex(name, sizeof name);
        (void)putchar(':');
    }
    print_hex(key, key_length);
    (void)putchar('\n');
    /* A key that did not reach its file must not look as if it had. */
    if (fflush(stdout) == 0 && !ferror(stdout))
        result = EXIT_DONE;
    else
        option_complain(&table, "stdout", "the line could not be written");

done:
    keys_wipe(key, sizeof key);
    return result;
}
