#include "deploy/psk_set.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/limits.h"

static enum status add(struct psk_set *set, const char *identity)
{
    const uint8_t key[] = {0x00, 0xab, 0xff};
    return psk_set_add(set, identity, strlen(identity), key, sizeof key);
}

/* As a child opens it. */
static const char *content(const struct psk_set *set)
{
    static char text[1024];
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", set->descriptor);
    int file = open(path, O_RDONLY);
    cr_assert_geq(file, 0);
    ssize_t length = read(file, text, sizeof text - 1);
    cr_assert_geq(length, 0);
    text[length] = '\0';
    close(file);
    return text;
}

Test(psk_set, is_a_psk_file_in_memory)
{
    struct psk_set set;
    cr_assert_eq(psk_set_init(&set), STATUS_OK);
    cr_assert_str_empty(content(&set));
    cr_assert_eq(add(&set, "urn:dev:1"), STATUS_OK);
    cr_assert_eq(add(&set, "b"), STATUS_OK);
    cr_assert_str_eq(content(&set), "urn:dev:1:00abff\nb:00abff\n");
    cr_assert_str_eq(content(&set), "urn:dev:1:00abff\nb:00abff\n", "each reader from the start");
    psk_set_free(&set);
}

Test(psk_set, longest_entry_fits)
{
    struct psk_set set;
    char identity[IDENTITY_LENGTH_MAX + 1];
    uint8_t key[PSK_LENGTH_MAX + 1] = {0};
    memset(identity, 'x', sizeof identity);
    cr_assert_eq(psk_set_init(&set), STATUS_OK);
    cr_assert_eq(psk_set_add(&set, identity, IDENTITY_LENGTH_MAX, key, PSK_LENGTH_MAX), STATUS_OK);
    cr_assert_eq(strlen(content(&set)), IDENTITY_LENGTH_MAX + 2 * PSK_LENGTH_MAX + 2);
    cr_assert_eq(psk_set_add(&set, identity, IDENTITY_LENGTH_MAX + 1, key, 1), STATUS_MALFORMED);
    cr_assert_eq(psk_set_add(&set, "y", 1, key, PSK_LENGTH_MAX + 1), STATUS_TOO_LONG);
    psk_set_free(&set);
}

Test(psk_set, each_identity_once)
{
    struct psk_set set;
    cr_assert_eq(psk_set_init(&set), STATUS_OK);
    for (int i = 0; i < 2000; i++) {
        char identity[32];
        snprintf(identity, sizeof identity, "device-%d", i);
        cr_assert_eq(add(&set, identity), STATUS_OK);
    }
    cr_assert_eq(add(&set, "device-0"), STATUS_EXISTS);
    cr_assert_eq(add(&set, "device-1999"), STATUS_EXISTS);
    cr_assert_eq(set.identities.count, 2000);
    psk_set_free(&set);
}

Test(psk_set, identity_that_no_line_can_name_is_refused)
{
    struct psk_set set;
    cr_assert_eq(psk_set_init(&set), STATUS_OK);
    cr_assert_eq(add(&set, "a\nb"), STATUS_MALFORMED);
    cr_assert_eq(add(&set, "#a"), STATUS_MALFORMED);
    cr_assert_str_empty(content(&set));
    psk_set_free(&set);
}
