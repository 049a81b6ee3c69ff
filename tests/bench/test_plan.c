#include <criterion/criterion.h>

#include "bench/plan.h"

#include <stdlib.h>
#include <unistd.h>

static struct plan plan;

/* Of a NULL-terminated list. */
static enum option_outcome parse(const char *const *list)
{
    int count = 0;
    while (list[count])
        count++;
    return plan_parse(&plan, count, (char *const *)list);
}

#define PARSE(...) parse((const char *const[]){"bench", __VA_ARGS__, NULL})
#define TARGET "--target", "coaps://127.0.0.1:5"
#define PSK "--psk", "a:b:00ff"

static void hush(void)
{
    cr_assert_not_null(freopen("/dev/null", "w", stderr));
}

Test(plan, defaults)
{
    cr_assert_eq(PARSE(TARGET, PSK), OPTION_RUN);
    cr_assert(plan.is_secure);
    cr_assert_eq(plan.server.port, 5);
    cr_assert_str_eq(plan.credentials.identity, "a:b");
    cr_assert_eq(plan.credentials.key_length, 2);
    cr_assert_eq(plan.devices, 100);
    cr_assert_eq(plan.workload, WORKLOAD_ECHO);
    cr_assert_eq(plan.rate, 0);
    cr_assert_eq(plan.payload_length, 32);
    cr_assert_eq(plan.ack_timeout_ms, 2000);
    cr_assert_eq(plan.retransmits_max, 4);
    cr_assert_not(plan.json);
    cr_assert_not(plan.puts);
    cr_assert_eq(plan.suite, &suites[0]);
}

Test(plan, suites)
{
    for (size_t i = 0; i < suites_count; i++) {
        cr_assert_eq(PARSE(TARGET, PSK, "--suite", suites[i].name), OPTION_RUN);
        cr_assert_eq(plan.suite, &suites[i]);
    }
}

Test(plan, targets)
{
    struct address want;
    cr_assert_eq(PARSE("--target", "coap://[::1]"), OPTION_RUN);
    cr_assert_eq(address_parse(&want, "[::1]:5683"), STATUS_OK);
    cr_assert(address_equal(&plan.server, &want));
    cr_assert_not(plan.is_secure);
    cr_assert_eq(PARSE("--target", "coaps://[::1]:7", PSK), OPTION_RUN);
    cr_assert_eq(plan.server.port, 7);
    cr_assert_eq(PARSE("--target", "coaps://127.0.0.1", PSK), OPTION_RUN);
    cr_assert_eq(plan.server.port, 5684);
    cr_assert_eq(PARSE("--target", "coap://localhost:9"), OPTION_RUN);
    cr_assert_eq(plan.server.port, 9);
}

Test(plan, targets_that_are_none, .init = hush)
{
    static const char *const targets[] = {"",
                                          "coaps://",
                                          "http://h",
                                          "127.0.0.1:5",
                                          "coaps://:5",
                                          "coaps://h:",
                                          "coaps://[::1",
                                          "coaps://[::1]x",
                                          "coaps://127.0.0.1:0",
                                          "coaps://127.0.0.1:x",
                                          "coaps://127.0.0.1:65536",
                                          "coaps://no.such.host.invalid"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        cr_assert_eq(PARSE("--target", targets[i], PSK), OPTION_UNUSABLE, "%s", targets[i]);
}

Test(plan, what_does_not_go_together, .init = hush)
{
    cr_assert_eq(PARSE(PSK), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET), OPTION_UNUSABLE);
    cr_assert_eq(PARSE("--target", "coap://127.0.0.1", "--workload", "handshake"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--workload", "reconnect", "--rate", "5"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--at-once", "5", "--rate", "5"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--at-once", "5", "--workload", "handshake"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--workload", "nap"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--workload", "datagram"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--suite", "TLS_NULL"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, "--psk", "a:xy"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--payload", "1025"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--devices", "0"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--expect", "p98=1"), OPTION_UNUSABLE);
}

Test(plan, addresses, .init = hush)
{
    cr_assert_eq(PARSE(TARGET, PSK, "--spread"), OPTION_RUN);
    cr_assert(plan.spreads && !plan.sleeps);
    cr_assert_eq(PARSE(TARGET, PSK, "--asleep", "--rate", "1", "--devices", "1000000"), OPTION_RUN);
    cr_assert(plan.spreads && plan.sleeps);
    cr_assert_eq(PARSE("--target", "coaps://[::1]:5", PSK, "--spread"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE("--target", "coaps://192.0.2.1:5", PSK, "--spread"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--spread", "--sockets", "2"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE(TARGET, PSK, "--asleep"), OPTION_UNUSABLE, "no --rate");
    cr_assert_eq(PARSE(TARGET, PSK, "--asleep", "--rate", "1", "--workload", "notify"),
                 OPTION_UNUSABLE);
    cr_assert_eq(PARSE("--target", "coap://127.0.0.1:5", "--asleep", "--rate", "1"),
                 OPTION_UNUSABLE);
}

Test(plan, observe_api)
{
    struct address want;
    cr_assert_eq(PARSE(TARGET, PSK), OPTION_RUN);
    cr_assert_eq(plan.observe_api.port, 0);
    cr_assert_eq(address_parse(&want, "[::1]:8080"), STATUS_OK);
    cr_assert_eq(PARSE(TARGET, PSK, "--workload", "notify", "--observe-api", "http://[::1]:8080/"),
                 OPTION_RUN);
    cr_assert(address_equal(&plan.observe_api, &want));
    cr_assert_eq(PARSE(TARGET, PSK, "--workload", "notify", "--observe-api", "http://[::1]:8080"),
                 OPTION_RUN);
    cr_assert(address_equal(&plan.observe_api, &want));
}

Test(plan, observe_apis_that_are_none, .init = hush)
{
    static const char *const apis[] = {"",
                                       "http://",
                                       "http:///",
                                       "127.0.0.1:8080",
                                       "https://127.0.0.1:8080",
                                       "http://127.0.0.1",
                                       "http://127.0.0.1:0",
                                       "http://localhost:8080",
                                       "http://127.0.0.1:8080/api",
                                       "http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:"
                                       "0000:0000]:8080"};
    for (size_t i = 0; i < sizeof(apis) / sizeof(apis[0]); i++)
        cr_assert_eq(PARSE(TARGET, PSK, "--workload", "notify", "--observe-api", apis[i]),
                     OPTION_UNUSABLE, "%s", apis[i]);
    cr_assert_eq(PARSE(TARGET, PSK, "--observe-api", "http://127.0.0.1:8080"), OPTION_UNUSABLE);
    cr_assert_eq(PARSE("--target", "coap://127.0.0.1", "--workload", "notify", "--observe-api",
                       "http://127.0.0.1:8080"),
                 OPTION_UNUSABLE);
}

Test(plan, expectations_repeat)
{
    cr_assert_eq(PARSE(TARGET, PSK, "--expect", "lost=0", "--expect", "p99=5ms"), OPTION_RUN);
    cr_assert_eq(plan.expectation_count, 2);
    cr_assert_eq(plan.expectations[1].measure, RESULT_P99);
}

/* Sockets are bounded by the system, devices that share them are not. */
Test(plan, more_devices_than_sockets, .init = hush)
{
    cr_assert_eq(PARSE(TARGET, PSK, "--devices", "1000000", "--sockets", "10"), OPTION_RUN);
    cr_assert_eq(plan.sockets, 10);
}
