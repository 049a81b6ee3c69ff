/* Input: a URL; then, read again, a host as a cluster names it. What parses keeps its promises:
 * texts that end, hosts that come out as they went in. */
#include "shared/redis_url.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_url(const char *text)
{
    struct redis_url url;
    char why[128] = "";
    if (redis_url_parse(&url, text, why, sizeof why) != STATUS_OK) {
        require(why[0] != '\0');
        return;
    }
    require(redis_url_is_redis(text));
    require(url.host_count >= 1 && url.host_count <= REDIS_HOSTS_MAX);
    require(url.kind != REDIS_SINGLE || url.host_count == 1);
    require((url.kind == REDIS_SENTINEL) == (url.master[0] != '\0'));
    require(url.prefix[0] != '\0' && !strpbrk(url.prefix, "{}"));
    require((url.cert[0] != '\0') == (url.key[0] != '\0'));
    for (size_t i = 0; i < url.host_count; i++)
        require(url.hosts[i].name[0] != '\0' && strlen(url.hosts[i].name) <= REDIS_HOST_LENGTH_MAX);
}

static void check_host(const char *text, size_t length)
{
    struct redis_host host, again;
    char spelt[REDIS_HOST_TEXT_MAX];
    if (redis_host_parse(&host, text, length) != STATUS_OK)
        return;
    require(host.name[0] != '\0' && host.port != 0);
    redis_host_format(&host, spelt);
    require(redis_host_parse(&again, spelt, strlen(spelt)) == STATUS_OK);
    require(redis_host_equal(&host, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_url(text);
    check_host(text, size);
    free(text);
    return 0;
}
