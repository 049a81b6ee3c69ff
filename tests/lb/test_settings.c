#include "lb/settings.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32

static char key_file[] = "/tmp/holdfast-lb-key-XXXXXX";

static void set_up(void)
{
    int fd = mkstemp(key_file);
    cr_assert_geq(fd, 0);
    for (size_t i = 0; i < CLUSTER_KEY_SIZE; i++)
        cr_assert_eq(write(fd, "5a", 2), 2);
    close(fd);
}

static void tear_down(void)
{
    unlink(key_file);
}

TestSuite(settings, .init = set_up, .fini = tear_down);

/* The words of `line`, KEY replaced by a good key file. */
static enum option_outcome parse(struct settings *settings, const char *line)
{
    static char copy[1024];
    char *arguments[ARGUMENTS_MAX] = {(char *)"holdfast-lb"};
    int count = 1;
    char *state = NULL;

    cr_assert_lt(strlen(line), sizeof(copy));
    strcpy(copy, line);
    for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
        cr_assert_lt(count, ARGUMENTS_MAX - 1);
        arguments[count++] = strcmp(word, "KEY") == 0 ? key_file : word;
    }
    return settings_parse(settings, count, arguments);
}

static struct address address(const char *text)
{
    struct address parsed;
    cr_assert_eq(address_parse(&parsed, text), STATUS_OK);
    return parsed;
}

#define EXPECT_ADDRESS(actual, text)                                     \
    do {                                                                 \
        struct address expected = address(text);                         \
        cr_assert(address_equal(&(actual), &expected), "want %s", text); \
    } while (0)

Test(settings, defaults)
{
    static struct settings settings;
    cr_assert_eq(parse(&settings, "--worker 1=127.0.0.1:7001 --cluster-key-file KEY"), OPTION_RUN);
    cr_assert_eq(settings.coaps.count, 1);
    EXPECT_ADDRESS(settings.coaps.addresses[0], "[::]:5684");
    cr_assert_eq(settings.coap.count, 1);
    EXPECT_ADDRESS(settings.coap.addresses[0], "[::]:5683");
    EXPECT_ADDRESS(settings.link, "[::]:0");
    EXPECT_ADDRESS(settings.http, "127.0.0.1:8080");
    cr_assert_eq(settings.worker_count, 1);
    cr_assert_eq(settings.workers[0].id, 1);
    EXPECT_ADDRESS(settings.workers[0].address, "127.0.0.1:7001");
    static const uint8_t lengths[CID_CONFIGS_MAX] = {CID_LENGTH_DEFAULT};
    cr_assert_arr_eq(settings.cid_lengths, lengths, CID_CONFIGS_MAX);
    cr_assert_eq(settings.threads, 1);
    cr_assert_eq(settings.backend, IO_AUTO);
    cr_assert_eq(settings.log_level, LOG_INFO);
    cr_assert_eq(settings.frame_size, FRAME_SIZE_DEFAULT);
    cr_assert_eq(settings.handshake_rate, ADMISSION_RATE_DEFAULT);
    cr_assert_eq(settings.handshake_burst, ADMISSION_BURST_DEFAULT);
    cr_assert_eq(settings.ready_fd, -1);
    cr_assert_eq(settings.key.bytes[31], 0x5a);
}

Test(settings, all_given)
{
    static struct settings settings;
    cr_assert_eq(
        parse(&settings,
              "--worker 7=[::1]:7001 --worker 65535=127.0.0.1:7002 --cluster-key-file KEY "
              "--coaps 0.0.0.0:1 --coaps [::1]:2 --coap 127.0.0.1:3 --link 127.0.0.1:9000"),
        OPTION_RUN);
    cr_assert_eq(settings.coaps.count, 2);
    EXPECT_ADDRESS(settings.coaps.addresses[0], "0.0.0.0:1");
    EXPECT_ADDRESS(settings.coaps.addresses[1], "[::1]:2");
    EXPECT_ADDRESS(settings.coap.addresses[0], "127.0.0.1:3");
    EXPECT_ADDRESS(settings.link, "127.0.0.1:9000");
    cr_assert_eq(settings.worker_count, 2);
    cr_assert_eq(settings.workers[1].id, 65535);
    cr_assert_eq(settings.frame_size, 1400 - 48, "an IPv6 worker makes room for its header");

    cr_assert_eq(parse(&settings, "--worker 0=127.0.0.1:7001 --cluster-key-file KEY --cid 6:20 "
                                  "--cid 0:6 --threads 16 --io mmsg --log debug --link-mtu 9000 "
                                  "--handshake-rate 0 --handshake-burst 1 --ready-fd 9"),
                 OPTION_RUN);
    static const uint8_t lengths[CID_CONFIGS_MAX] = {[0] = 6, [6] = 20};
    cr_assert_arr_eq(settings.cid_lengths, lengths, CID_CONFIGS_MAX);
    cr_assert_eq(settings.threads, 16);
    cr_assert_eq(settings.backend, IO_MMSG);
    cr_assert_eq(settings.log_level, LOG_DEBUG);
    cr_assert_eq(settings.frame_size, 9000 - 28);
    cr_assert_eq(settings.handshake_rate, 0);
    cr_assert_eq(settings.handshake_burst, 1);
    cr_assert_eq(settings.ready_fd, 9);
    cr_assert_eq(parse(&settings, "--worker 0=127.0.0.1:7001 --cluster-key-file KEY "
                                  "--link-mtu 65048"),
                 OPTION_RUN);
    cr_assert_eq(settings.frame_size, FRAME_SIZE_MAX);
}

Test(settings, store_instead_of_workers)
{
    static struct settings settings;
    cr_assert_eq(parse(&settings, "--store redis://h --cluster-key-file KEY"), OPTION_RUN);
    cr_assert_str_eq(settings.store_url, "redis://h");
    cr_assert_eq(settings.worker_count, 0);
    cr_assert_eq(settings.frame_size, 1400 - 48, "a worker may turn up at any address");
    cr_assert_eq(parse(&settings, "--worker 1=127.0.0.1:7001 --cluster-key-file KEY"), OPTION_RUN);
    cr_assert_null(settings.store_url);
}

#define GOOD "--worker 1=127.0.0.1:7001 --cluster-key-file KEY "

Test(settings, unusable_ones_are_refused)
{
    static const char *const lines[] = {
        "--cluster-key-file KEY",
        "--worker 1=127.0.0.1:7001",
        GOOD "--store lmdb:/var/lib/holdfast",
        "--store memory: --cluster-key-file KEY",
        "--worker 1=127.0.0.1:7001 --cluster-key-file /nonexistent/key",
        "--worker 1=127.0.0.1:7001 --cluster-key-file /dev/null",
        GOOD "--worker 1=127.0.0.1:7002",
        GOOD "--worker 2=127.0.0.1:7001",
        GOOD "--worker 65536=127.0.0.1:7002",
        GOOD "--worker =127.0.0.1:7002",
        GOOD "--worker -1=127.0.0.1:7002",
        GOOD "--worker two=127.0.0.1:7002",
        GOOD "--worker 2=localhost:7002",
        GOOD "--worker 2=127.0.0.1:0",
        GOOD "--worker 127.0.0.1:7002",
        GOOD "--coaps 5684",
        GOOD "--coap example.org:5683",
        GOOD "--coap [::1]",
        GOOD "--link 1.2.3.4",
        GOOD "--link [::]:65535 --threads 2",
        GOOD "--http 8080",
        GOOD "--cid 7:8",
        GOOD "--cid 0:5",
        GOOD "--cid 0:21",
        GOOD "--cid 0",
        GOOD "--cid 0:8 --cid 0:9",
        GOOD "--threads 0",
        GOOD "--threads 17",
        GOOD "--io epoll",
        GOOD "--log loud",
        GOOD "--link-mtu 1279",
        GOOD "--link-mtu 65049",
        GOOD "--handshake-rate -1",
        GOOD "--handshake-burst 0",
        GOOD "--ready-fd x",
        GOOD "--unknown 1",
        GOOD "stray",
    };
    static struct settings settings;
    cr_redirect_stderr();
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        cr_assert_eq(parse(&settings, lines[i]), OPTION_UNUSABLE, "%s", lines[i]);
    (void)fflush(stderr);

    /* One line for each, which names the program. */
    FILE *said = cr_get_redirected_stderr();
    char line[512];
    size_t count = 0;
    while (fgets(line, sizeof(line), said)) {
        cr_assert_eq(strncmp(line, "holdfast-lb: ", 13), 0, "%s", line);
        count++;
    }
    cr_assert_eq(count, sizeof(lines) / sizeof(lines[0]));
}

Test(settings, too_many_listeners)
{
    static struct settings settings;
    char line[1024] = GOOD;
    cr_redirect_stderr();
    for (size_t i = 0; i < LISTENERS_MAX / 2; i++)
        strcat(line, "--coaps=[::1]:0 --coap=[::1]:0 ");
    cr_assert_eq(parse(&settings, line), OPTION_RUN);
    strcat(line, "--coap=[::1]:0");
    cr_assert_eq(parse(&settings, line), OPTION_UNUSABLE);
}

Test(settings, a_bind_that_fails_names_option_address_and_reason)
{
    struct address taken = address("[::1]:5684");
    cr_redirect_stderr();
    settings_complain_bind("--coaps", &taken, EADDRINUSE);
    (void)fflush(stderr);
    char line[512] = "";
    cr_assert_not_null(fgets(line, sizeof(line), cr_get_redirected_stderr()));
    cr_assert_not_null(strstr(line, "holdfast-lb: --coaps: "));
    cr_assert_not_null(strstr(line, "[::1]:5684"));
    cr_assert_not_null(strstr(line, "Address already in use"));
}
