#include "deploy/up_options.h"

#include <criterion/criterion.h>
#include <string.h>

#include "shared/log.h"
#include "tests/deploy/capture.h"

static enum option_outcome parse(const char *const *argv)
{
    int count = 0;
    while (argv[count])
        count++;
    return option_parse(&up_option_table, count, (char *const *)argv);
}
#define PARSE(...) parse((const char *const[]){"up", __VA_ARGS__, NULL})

static void start(void)
{
    capture_streams();
    cr_assert_eq(psk_set_init(&up_options.psks), STATUS_OK);
}

static void stop(void)
{
    psk_set_free(&up_options.psks);
    capture_folder_remove();
}

static const char *text_of(const struct address *address)
{
    static char text[ADDRESS_TEXT_MAX];
    return address_format(address, text);
}

TestSuite(up_options, .init = start, .fini = stop);

Test(up_options, defaults_are_those_of_the_help)
{
    cr_assert_eq(PARSE("--workers", "1"), OPTION_RUN);
    cr_assert_str_eq(up_options.store_url, UP_STORE_DEFAULT);
    cr_assert_str_eq(text_of(&up_options.coaps), "[::]:5684");
    cr_assert_str_eq(text_of(&up_options.coap), "[::]:5683");
    cr_assert_str_eq(text_of(&up_options.http), "127.0.0.1:8080");
    cr_assert_eq(up_options.workers, 1);
    cr_assert_eq(up_options.threads, 1);
    cr_assert_eq(up_options.cid_length, 8);
    cr_assert_not(up_options.plugtest);
    cr_assert_str_eq(up_io_names[up_options.io], "auto");
    cr_assert_eq(up_options.log, LOG_INFO);
    cr_assert_str_eq(up_log_names[up_options.log], "info");
}

Test(up_options, keys_come_from_options_and_files)
{
    cr_assert_eq(PARSE("--psk", "a:00", "--psk-file", capture_file("psk", "b:11\nc:22\n"), "--psk",
                       "d:e:33"),
                 OPTION_RUN);
    cr_assert_eq(up_options.psks.identities.count, 4);
    cr_assert_eq(PARSE("--psk", "c:44"), OPTION_UNUSABLE);
    const char *line = capture_errors();
    cr_assert_str_eq(line, "holdfast up: --psk: the value cannot be used; its identity has a key "
                           "already; want each identity once\n");
}

Test(up_options, keys_are_not_shown_again)
{
    char long_key[200] = "a:c0ffee";
    memset(long_key + 8, '0', 150);
    static const char *const bad[] = {"a:c0ffee0", "c0ffee", ":c0ffee", "#:c0ffee"};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(PARSE("--psk", bad[i]), OPTION_UNUSABLE, "%s", bad[i]);
        cr_assert_null(strstr(capture_errors(), "c0ffee"));
    }
    cr_assert_eq(PARSE("--psk", long_key), OPTION_UNUSABLE);
    cr_assert_null(strstr(capture_errors(), "c0ffee"));
}

Test(up_options, stores_are_told_by_their_scheme)
{
    static const char *const good[] = {"memory:",
                                       "lmdb:",
                                       "lmdb:/var/lib/holdfast store",
                                       "redis://:secret@host/2",
                                       "rediss://host?ca=/etc/ca.pem",
                                       "redis+sentinel://a,b/main",
                                       "rediss+cluster://a:7000,b:7000"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert_eq(PARSE("--store", good[i]), OPTION_RUN, "%s", good[i]);
        cr_assert_str_eq(up_options.store_url, good[i]);
    }
    static const char *const bad[] = {"etcd://:secret@host", "/var/secret", "memory:secret",
                                      "secret", "redis://:secret@host\nlog = debug"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(PARSE("--store", bad[i]), OPTION_UNUSABLE, "%s", bad[i]);
        cr_assert_str_eq(capture_errors(),
                         "holdfast up: --store: the value cannot be used; want memory:, lmdb:DIR, "
                         "redis://... or rediss://...\n");
    }
}
