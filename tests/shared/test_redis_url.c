#include "shared/redis_url.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct redis_url good(const char *text)
{
    struct redis_url url;
    char why[256] = "";
    cr_assert_eq(redis_url_parse(&url, text, why, sizeof why), STATUS_OK, "%s: %s", text, why);
    return url;
}

Test(redis_url, one_server)
{
    struct redis_url url = good("redis://localhost");
    cr_assert_eq(url.kind, REDIS_SINGLE);
    cr_assert_not(url.tls);
    cr_assert_eq(url.host_count, 1u);
    cr_assert_str_eq(url.hosts[0].name, "localhost");
    cr_assert_eq(url.hosts[0].port, 6379);
    cr_assert_eq(url.database, 0u);
    cr_assert_str_eq(url.prefix, "hf");
    cr_assert_str_eq(url.password, "");

    url = good("redis://10.0.0.1:7000/3");
    cr_assert_str_eq(url.hosts[0].name, "10.0.0.1");
    cr_assert_eq(url.hosts[0].port, 7000);
    cr_assert_eq(url.database, 3u);

    url = good("redis://[fd00::1]:7000/");
    cr_assert_str_eq(url.hosts[0].name, "fd00::1");
    cr_assert_eq(url.hosts[0].port, 7000);
    cr_assert_eq(good("redis://[::1]").hosts[0].port, 6379);
}

Test(redis_url, user_and_password)
{
    struct redis_url url = good("redis://worker:p%40ss%3Aw%2Frd@host");
    cr_assert_str_eq(url.user, "worker");
    cr_assert_str_eq(url.password, "p@ss:w/rd");
    url = good("redis://:secret@host/1");
    cr_assert_str_eq(url.user, "");
    cr_assert_str_eq(url.password, "secret");
    /* Not as it should be written, yet there is only one way to read it. */
    cr_assert_str_eq(good("redis://u:a@b@host").password, "a@b");
}

Test(redis_url, tls)
{
    struct redis_url url =
        good("rediss://host?ca=/etc/ca.pem&cert=/c%20d.pem&key=/k.pem&sni=redis.example");
    cr_assert(url.tls);
    cr_assert_str_eq(url.ca, "/etc/ca.pem");
    cr_assert_str_eq(url.cert, "/c d.pem");
    cr_assert_str_eq(url.key, "/k.pem");
    cr_assert_str_eq(url.sni, "redis.example");
    cr_assert(good("rediss+cluster://a,b").tls);
    cr_assert(good("rediss+sentinel://a/m").tls);
}

Test(redis_url, replicas_to_wait_for)
{
    cr_assert_eq(good("redis://host").wait_replicas, 0u);
    struct redis_url url = good("redis://host?wait=2");
    cr_assert_eq(url.wait_replicas, 2u);
    cr_assert_eq(url.wait_ms, (unsigned)REDIS_WAIT_MS);
    url = good("redis+sentinel://a,b/m?wait_ms=1500&wait=16");
    cr_assert_eq(url.wait_replicas, 16u);
    cr_assert_eq(url.wait_ms, 1500u);
}

Test(redis_url, unix_socket)
{
    struct redis_url url = good("redis+unix:///run/redis.sock?db=2&prefix=site-1");
    cr_assert_str_eq(url.hosts[0].name, "/run/redis.sock");
    cr_assert_eq(url.hosts[0].port, 0);
    cr_assert_eq(url.database, 2u);
    cr_assert_str_eq(url.prefix, "site-1");
}

Test(redis_url, several_hosts)
{
    struct redis_url url = good("redis+sentinel://a,b:1,[::1]:2/mymaster/4");
    cr_assert_eq(url.kind, REDIS_SENTINEL);
    cr_assert_eq(url.host_count, 3u);
    cr_assert_eq(url.hosts[0].port, 26379);
    cr_assert_eq(url.hosts[1].port, 1);
    cr_assert_str_eq(url.hosts[2].name, "::1");
    cr_assert_str_eq(url.master, "mymaster");
    cr_assert_eq(url.database, 4u);
    url = good("redis+cluster://:pw@a:7000,b:7001");
    cr_assert_eq(url.kind, REDIS_CLUSTER);
    cr_assert_eq(url.host_count, 2u);
    cr_assert_str_eq(url.password, "pw");
}

static const char *const bad[] = {
    "redis://",
    "redis:/host",
    "memory:",
    "redis://host:0",
    "redis://host:65536",
    "redis://host:port",
    "redis://host:",
    "redis://ho st",
    "redis://::1",
    "redis://[::1",
    "redis://[::1]7",
    "redis://a,b",
    "redis://a/x",
    "redis://a/99999999",
    "redis://secret@host",
    "redis://user:@host",
    "redis://user:se%2gcret@host",
    "redis://user:secret%00@host",
    "redis://user:secret%4@host",
    "redis://host?",
    "redis://host?db",
    "redis://host?db=",
    "redis://host?colour=red",
    "redis://host?ca=/ca.pem",
    "redis://host?prefix={x}",
    "redis://host?prefix=12345678901234567",
    "redis://host?replicas=1",
    "redis://host?wait=0",
    "redis://host?wait=17",
    "redis://host?wait=x",
    "redis://host?wait_ms=100",
    "redis://host?wait=1&wait_ms=1501",
    "redis://host?wait=1&wait_ms=",
    "redis://:secret@host?password_file=/p",
    "rediss://host?cert=/c.pem",
    "redis+unix://run/redis.sock",
    "redis+unix://",
    "redis+sentinel://a,b",
    "redis+sentinel://a,b/",
    "redis+cluster://a/1",
    "redis+cluster://a,,b",
    "redis+cluster://1,2,3,4,5,6,7,8,9",
};

Test(redis_url, refusals_say_what_would_be_right_and_show_no_password)
{
    static const struct redis_url nothing;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct redis_url url;
        char why[256] = "";
        memset(&url, 0xee, sizeof url);
        cr_assert_eq(redis_url_parse(&url, bad[i], why, sizeof why), STATUS_MALFORMED, "%s",
                     bad[i]);
        cr_assert_gt(strlen(why), 10u, "%s: %s", bad[i], why);
        cr_assert_null(strstr(why, "secret"), "%s", why);
        bool is_wiped = memcmp(&url, &nothing, sizeof url) == 0;
        cr_assert(is_wiped || !redis_url_is_redis(bad[i]), "%s", bad[i]);
    }
}

Test(redis_url, what_is_too_long)
{
    struct redis_url url;
    char text[1024], why[256];
    (void)snprintf(text, sizeof text, "redis://%0*d", REDIS_HOST_LENGTH_MAX, 1);
    cr_assert_eq(strlen(good(text).hosts[0].name), (size_t)REDIS_HOST_LENGTH_MAX);
    (void)snprintf(text, sizeof text, "redis://%0*d", REDIS_HOST_LENGTH_MAX + 1, 1);
    cr_assert_eq(redis_url_parse(&url, text, why, sizeof why), STATUS_MALFORMED);
    (void)snprintf(text, sizeof text, "redis://:%0*d@h", REDIS_TEXT_MAX, 1);
    cr_assert_eq(strlen(good(text).password), (size_t)REDIS_TEXT_MAX);
    (void)snprintf(text, sizeof text, "redis://:%0*d@h", REDIS_TEXT_MAX + 1, 1);
    cr_assert_eq(redis_url_parse(&url, text, why, sizeof why), STATUS_MALFORMED);
    (void)snprintf(text, sizeof text, "redis+unix:///%0*d", 107, 1);
    cr_assert_eq(redis_url_parse(&url, text, why, sizeof why), STATUS_MALFORMED);
}

static enum status read_file(const char *content, struct redis_url *url, char *why, size_t size)
{
    char path[] = "/tmp/holdfast-password.XXXXXX", text[128];
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, content, strlen(content)), (ssize_t)strlen(content));
    close(descriptor);
    (void)snprintf(text, sizeof text, "redis://host?password_file=%s", path);
    *url = good(text);
    enum status status = redis_url_read_passwords(url, why, size);
    unlink(path);
    return status;
}

Test(redis_url, password_files)
{
    struct redis_url url;
    char why[256] = "";
    cr_assert_eq(read_file("secret\nmore\n", &url, why, sizeof why), STATUS_OK);
    cr_assert_str_eq(url.password, "secret");
    cr_assert_eq(read_file("secret\r\n", &url, why, sizeof why), STATUS_OK);
    cr_assert_str_eq(url.password, "secret");
    cr_assert_eq(read_file("no line feed", &url, why, sizeof why), STATUS_OK);
    cr_assert_str_eq(url.password, "no line feed");
    cr_assert_eq(read_file("", &url, why, sizeof why), STATUS_MALFORMED);
    cr_assert_eq(read_file("\nsecret\n", &url, why, sizeof why), STATUS_MALFORMED);
    char longer[REDIS_TEXT_MAX + 2];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    cr_assert_eq(read_file(longer, &url, why, sizeof why), STATUS_MALFORMED);
    cr_assert_null(strstr(why, "xxx"));
    url = good("redis://host?password_file=/nowhere/at/all");
    cr_assert_eq(redis_url_read_passwords(&url, why, sizeof why), STATUS_SYSTEM);
    cr_assert_not_null(strstr(why, "/nowhere/at/all"));
}

Test(redis_url, hosts_as_servers_name_them)
{
    struct redis_host host;
    char text[REDIS_HOST_TEXT_MAX];
    cr_assert_eq(redis_host_parse(&host, "10.0.0.1:7000xyz", 13), STATUS_OK);
    cr_assert_str_eq(redis_host_format(&host, text), "10.0.0.1:7000");
    cr_assert_eq(redis_host_parse(&host, "fd00::1:7000", 12), STATUS_OK);
    cr_assert_str_eq(host.name, "fd00::1");
    cr_assert_str_eq(redis_host_format(&host, text), "[fd00::1]:7000");
    struct redis_host same;
    cr_assert_eq(redis_host_parse(&same, "[fd00::1]:7000", 14), STATUS_OK);
    cr_assert(redis_host_equal(&host, &same));
    same.port++;
    cr_assert_not(redis_host_equal(&host, &same));
    static const char *const wrong[] = {
        "", ":", ":7000", "host", "host:", "host:0", "host:x", "host:65536", "a b:1", "[::1]", "[z:]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(redis_host_parse(&host, wrong[i], strlen(wrong[i])), STATUS_MALFORMED, "%s",
                     wrong[i]);
}
