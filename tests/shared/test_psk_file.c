#include "shared/psk_file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENTRIES_MAX 4
struct entries {
    size_t count;
    char identities[ENTRIES_MAX][IDENTITY_LENGTH_MAX + 1];
    uint8_t keys[ENTRIES_MAX][PSK_LENGTH_MAX];
    size_t key_lengths[ENTRIES_MAX];
};

static enum status add_entry(void *owner, const char *identity, size_t identity_length,
                             const uint8_t *key, size_t key_length)
{
    struct entries *entries = owner;
    if (entries->count == ENTRIES_MAX)
        return STATUS_FULL;
    for (size_t i = 0; i < entries->count; i++) {
        if (strlen(entries->identities[i]) == identity_length &&
            memcmp(entries->identities[i], identity, identity_length) == 0)
            return STATUS_EXISTS;
    }
    memcpy(entries->identities[entries->count], identity, identity_length);
    entries->identities[entries->count][identity_length] = '\0';
    memcpy(entries->keys[entries->count], key, key_length);
    entries->key_lengths[entries->count++] = key_length;
    return STATUS_OK;
}

static char path[64];

/* Reads a file of this content; `why` has "FILE" in place of its name. */
static enum status read_content(const void *content, size_t length, struct entries *entries,
                                const char **why)
{
    static char said[256];
    said[0] = '\0';
    *entries = (struct entries){0};
    strcpy(path, "/tmp/holdfast-psk-XXXXXX");
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, content, length), (ssize_t)length);
    close(descriptor);
    enum status status = psk_file_read(path, add_entry, entries, said, sizeof said);
    unlink(path);
    *why = said;
    if (strncmp(said, path, strlen(path)) == 0)
        *why = said + strlen(path);
    return status;
}

static enum status read_text(const char *content, struct entries *entries, const char **why)
{
    return read_content(content, strlen(content), entries, why);
}

Test(psk_file, entries_comments_and_blank_lines)
{
    struct entries entries;
    const char *why;
    cr_assert_eq(read_text("# fleet one\n"
                           "\n"
                           "  urn:dev:1:00ff \r\n"
                           "\t# indented comment\n"
                           "with #hash and blank:AbCd\n"
                           "last:11",
                           &entries, &why),
                 STATUS_OK, "%s", why);
    cr_assert_eq(entries.count, 3);
    cr_assert_str_eq(entries.identities[0], "urn:dev:1");
    cr_assert_arr_eq(entries.keys[0], ((uint8_t[]){0x00, 0xff}), 2);
    cr_assert_eq(entries.key_lengths[0], 2);
    cr_assert_str_eq(entries.identities[1], "with #hash and blank");
    cr_assert_arr_eq(entries.keys[1], ((uint8_t[]){0xab, 0xcd}), 2);
    cr_assert_str_eq(entries.identities[2], "last");
}

Test(psk_file, empty_file_has_no_entries)
{
    struct entries entries;
    const char *why;
    cr_assert_eq(read_text("", &entries, &why), STATUS_OK);
    cr_assert_eq(entries.count, 0);
}

Test(psk_file, mistakes_name_the_line_and_show_no_key)
{
    static const struct {
        const char *content;
        enum status status;
        const char *why;
    } mistakes[] = {
        {"a:00\nb:c0ffee0\n", STATUS_MALFORMED, ":2: want identity:hexkey"},
        {"c0ffee\n", STATUS_MALFORMED, ":1: want identity:hexkey"},
        {"\n#\n:c0ffee\n", STATUS_MALFORMED, ":3: want identity:hexkey"},
        {"a:\n", STATUS_MALFORMED, ":1: want identity:hexkey"},
        {"a:00\na:11\n", STATUS_EXISTS,
         ":2: the identity has a key already; want each identity once"},
        {"a:0000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "000000000000000000000000000000000000000000000000\n",
         STATUS_TOO_LONG, ":1: want an identity of at most 128 octets and a key of at most 64"},
        {"a:00\nb:00\nc:00\nd:00\ne:00\n", STATUS_FULL, ":5: there is no room for more identities"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct entries entries;
        const char *why;
        cr_assert_eq(read_text(mistakes[i].content, &entries, &why), mistakes[i].status, "%zu", i);
        cr_assert_str_eq(why, mistakes[i].why);
    }
}

Test(psk_file, what_is_no_text_is_refused)
{
    struct entries entries;
    const char *why;
    cr_assert_eq(read_content("a:00\0\nb:11\n", 11, &entries, &why), STATUS_MALFORMED);
    static char long_line[CONFIG_LINE_MAX + 10];
    memset(long_line, 'x', sizeof long_line);
    cr_assert_eq(read_content(long_line, sizeof long_line, &entries, &why), STATUS_MALFORMED);
    cr_assert_str_eq(why, ":1: want identity:hexkey");
}

Test(psk_file, file_that_cannot_be_read)
{
    char why[256];
    struct entries entries = {0};
    cr_assert_eq(psk_file_read("/nonexistent/psk", add_entry, &entries, why, sizeof why),
                 STATUS_SYSTEM);
    cr_assert_str_eq(why, "cannot read /nonexistent/psk: No such file or directory");
    cr_assert_eq(psk_file_read("/", add_entry, &entries, why, sizeof why), STATUS_SYSTEM);
    cr_assert_str_eq(why, "cannot read /: Is a directory");
}

Test(psk_file, pipe_is_read_to_its_end)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], "a:00\nb:11\n", 10), 10);
    close(ends[1]);
    char name[32], why[256];
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[0]);
    struct entries entries = {0};
    cr_assert_eq(psk_file_read(name, add_entry, &entries, why, sizeof why), STATUS_OK);
    cr_assert_eq(entries.count, 2);
    close(ends[0]);
}

Test(psk_file, identities_that_a_line_can_name)
{
    static const char long_identity[IDENTITY_LENGTH_MAX + 1] = "x";
    cr_assert(psk_file_can_hold("urn:dev:1", 9));
    cr_assert(psk_file_can_hold("a#b c", 5));
    cr_assert_not(psk_file_can_hold("", 0));
    cr_assert_not(psk_file_can_hold("#a", 2));
    cr_assert_not(psk_file_can_hold(" a", 2));
    cr_assert_not(psk_file_can_hold("a\nb", 3));
    cr_assert_not(psk_file_can_hold("a\0b", 3));
    cr_assert_not(psk_file_can_hold(long_identity, sizeof long_identity));
}
