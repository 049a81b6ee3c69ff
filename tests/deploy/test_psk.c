#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "deploy/command.h"
#include "shared/limits.h"
#include "shared/psk_file.h"
#include "tests/deploy/capture.h"

static enum exit_status gen(const char *option, const char *value)
{
    const char *const argv[] = {"gen", option, value};
    return psk_gen_command(option ? 3 : 1, (char *const *)argv);
}

struct seen {
    size_t count;
    char identity[IDENTITY_LENGTH_MAX + 1];
    size_t key_length;
};

static enum status see(void *owner, const char *identity, size_t identity_length,
                       const uint8_t *key, size_t key_length)
{
    (void)key;
    struct seen *seen = owner;
    seen->count++;
    memcpy(seen->identity, identity, identity_length);
    seen->identity[identity_length] = '\0';
    seen->key_length = key_length;
    return STATUS_OK;
}

/* What was printed, read as a --psk-file. */
static struct seen read_back(const char *printed)
{
    struct seen seen = {0};
    char why[128] = "";
    cr_assert_eq(psk_file_read(capture_file("psk", printed), see, &seen, why, sizeof why),
                 STATUS_OK, "%s", why);
    return seen;
}

TestSuite(psk, .init = capture_streams, .fini = capture_folder_remove);

Test(psk, line_is_ready_for_a_psk_file)
{
    cr_assert_eq(gen(NULL, NULL), EXIT_DONE);
    struct seen seen = read_back(capture_output());
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(strlen(seen.identity), strlen("device-") + 16);
    cr_assert_eq(strncmp(seen.identity, "device-", 7), 0);
    cr_assert_eq(seen.key_length, 16);
}

Test(psk, each_one_is_fresh)
{
    char first[256];
    cr_assert_eq(gen(NULL, NULL), EXIT_DONE);
    snprintf(first, sizeof first, "%s", capture_output());
    cr_assert_eq(gen(NULL, NULL), EXIT_DONE);
    const char *second = capture_output();
    cr_assert_neq(strncmp(first, second, 23), 0, "the identity");
    cr_assert_str_neq(strchr(first, ':'), strchr(second, ':'), "the key");
}

Test(psk, name_and_length_can_be_chosen)
{
    cr_assert_eq(gen("--identity", "urn:dev:mac:0024"), EXIT_DONE);
    cr_assert_str_eq(read_back(capture_output()).identity, "urn:dev:mac:0024");
    cr_assert_eq(gen("--bytes", "64"), EXIT_DONE);
    cr_assert_eq(read_back(capture_output()).key_length, 64);
}

Test(psk, what_no_file_could_hold_is_refused)
{
    cr_assert_eq(gen("--identity", "#comment"), EXIT_UNUSABLE);
    cr_assert_eq(gen("--identity", "two\nlines"), EXIT_UNUSABLE);
    cr_assert_eq(gen("--bytes", "15"), EXIT_UNUSABLE);
    cr_assert_eq(gen("--bytes", "65"), EXIT_UNUSABLE);
    cr_assert_str_empty(capture_output());
}

Test(psk, full_disk_is_noticed)
{
    cr_assert(freopen("/dev/full", "w", stdout));
    cr_assert_eq(gen(NULL, NULL), EXIT_FAILED);
    cr_assert_str_eq(capture_errors(), "holdfast psk gen: stdout: the line could not be written\n");
}
