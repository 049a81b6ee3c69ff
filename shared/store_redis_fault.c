/* What goes wrong at a server: which question is asked again, and what the operator is told. */
#include <stdio.h>
#include <string.h>

#include "shared/redis_slot.h"
#include "shared/store_redis.h"

static void set_fault(struct store_redis *store, const struct redis_link *link,
                      enum redis_fault fault, const char *detail, size_t length)
{
    store->fault = fault;
    store->fault_link = link;
    store->fault_detail[0] = '\0';
    if (length > 0)
        (void)log_quote(store->fault_detail, sizeof store->fault_detail, detail, length);
}

/* Asked again, at once or after a pause; a question that nobody can answer ends some time. */
static void retry(struct store_redis *store, struct redis_question *question, uint64_t pause_ms)
{
    if (++question->attempts > REDIS_ATTEMPTS_MAX) {
        store_redis_fail(store, question);
        return;
    }
    question->not_before_ms = pause_ms > 0 ? store->now_ms + pause_ms : 0;
    store_redis_enqueue(store, question);
}

/* A restart, or somebody's SCRIPT FLUSH. The link carries the script before the question. */
static void load_script(struct store_redis *store, struct redis_question *question,
                        struct redis_link *link)
{
    uint8_t bytes[4096];
    store_redis_begin(store, "SCRIPT");
    redis_command_text(&store->command, "LOAD");
    redis_command_text(&store->command, redis_script_text((enum redis_script)question->script));
    struct writer writer = writer_over(bytes, sizeof bytes);
    redis_command_write(&store->command, &writer);
    if (redis_link_send(link, NULL, (const char *)bytes, writer_length(&writer)) == STATUS_OK)
        retry(store, question, 0);
    else
        store_redis_fail(store, question);
}

/* Whether the fault is of the connection, or may end with it: a name may lead elsewhere now. */
static bool ends_connection(enum redis_fault fault)
{
    return fault == REDIS_FAULT_NOAUTH || fault == REDIS_FAULT_READONLY ||
           fault == REDIS_FAULT_MASTERDOWN || fault == REDIS_FAULT_LOADING;
}

/* --- what a cluster says instead of an answer --- */

/* "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381". */
static bool read_redirection(const char *text, size_t length, uint16_t *slot,
                             struct redis_host *host)
{
    char copy[REDIS_HOST_TEXT_MAX + 32];
    char word[8];
    unsigned number;
    int at = 0;
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (sscanf(copy, "%7s %5u %n", word, &number, &at) != 2 || at == 0 || number >= REDIS_SLOTS)
        return false;
    *slot = (uint16_t)number;
    return redis_host_parse(host, copy + at, length - (size_t)at) == STATUS_OK;
}

/* The slot has a new owner. */
static void follow_moved(struct store_redis *store, struct redis_question *question,
                         const char *text, size_t length)
{
    uint16_t slot;
    struct redis_host host;
    if (read_redirection(text, length, &slot, &host))
        redis_cluster_moved(store->cluster, slot, &host);
    else
        redis_cluster_doubt(store->cluster);
    retry(store, question, question->attempts < 2 ? 0 : REDIS_RETRY_MS);
}

/* The slot is on its way, and this key is there already; for this once, ask there. */
static void follow_ask(struct store_redis *store, struct redis_question *question, const char *text,
                       size_t length)
{
    static const char asking[] = "*1\r\n$6\r\nASKING\r\n";
    uint16_t slot;
    struct redis_host host;
    struct redis_link *link = NULL;
    if (read_redirection(text, length, &slot, &host))
        link = redis_cluster_node(store->cluster, &host);
    if (link && ++question->attempts <= REDIS_ATTEMPTS_MAX &&
        redis_link_send(link, NULL, asking, sizeof asking - 1) == STATUS_OK &&
        redis_link_send(link, &question->call, (const char *)question->bytes, question->length) ==
            STATUS_OK)
        return;
    retry(store, question, REDIS_RETRY_MS); /* the link to that node is only being made */
}

static bool begins(const char *text, size_t length, const char *word)
{
    return length > strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

/* True: the question has been sent on its way. */
static bool is_redirected(struct store_redis *store, struct redis_question *question,
                          struct redis_link *link, const char *text, size_t length)
{
    if (begins(text, length, "MOVED ")) {
        follow_moved(store, question, text, length);
    } else if (begins(text, length, "ASK ")) {
        follow_ask(store, question, text, length);
    } else if (begins(text, length, "TRYAGAIN ")) {
        retry(store, question, REDIS_RETRY_MS);
    } else if (begins(text, length, "CLUSTERDOWN ")) {
        set_fault(store, link, REDIS_FAULT_CLUSTERDOWN, "", 0);
        redis_cluster_doubt(store->cluster);
        retry(store, question, REDIS_RETRY_MS);
    } else {
        return false;
    }
    return true;
}

void store_redis_on_error(struct store_redis *store, struct redis_question *question,
                          struct redis_link *link, const char *text, size_t length)
{
    if (store->cluster && is_redirected(store, question, link, text, length))
        return;
    if (redis_error_is(text, length, "NOSCRIPT") && question->script != REDIS_SCRIPTS) {
        load_script(store, question, link);
        return;
    }
    enum redis_fault fault = redis_fault_of(text, length);
    bool is_known = fault != REDIS_FAULT_OTHER && fault != REDIS_FAULT_NOPERM;
    set_fault(store, link, fault, text, is_known ? 0 : length);
    if (ends_connection(fault))
        redis_link_drop(link, fault);
    store_redis_fail(store, question);
}

void store_redis_on_success(struct store_redis *store, const struct redis_question *question,
                            const struct redis_link *link)
{
    if (store->fault == REDIS_FAULT_NONE || store->fault_link != link)
        return;
    if (redis_fault_is_of_writes(store->fault) && !store_redis_is_write(question->kind))
        return;
    store->fault = REDIS_FAULT_NONE;
}

/* A key on the server that has the fault. False: it is not among the servers any more. */
static bool find_probe_key(struct store_redis *store, struct redis_key *key)
{
    for (unsigned tag = 0; tag < REDIS_TAGS; tag++) {
        struct redis_link *link = NULL;
        *key = store_redis_probe_key(store, (uint8_t)tag);
        if (store_redis_route(store, redis_slot_of(key->bytes, key->length), &link) !=
                REDIS_ROUTE_DOWN &&
            link == store->fault_link)
            return true;
        if (!store->cluster)
            return link != NULL; /* reconnected meanwhile, or to another one */
    }
    return false;
}

/* A small write, where nobody else might ask: SET with a TTL of its own. */
static void probe(struct store_redis *store)
{
    if (store->fault == REDIS_FAULT_NONE || store->is_probing || store->now_ms < store->probe_ms)
        return;
    struct redis_key key;
    store->probe_ms = store->now_ms + REDIS_PING_MS;
    if (!find_probe_key(store, &key)) {
        store->fault = REDIS_FAULT_NONE;
        return;
    }
    store_redis_begin(store, "SET");
    store_redis_add(store, &key);
    redis_command_text(&store->command, "1");
    redis_command_text(&store->command, "PX");
    redis_command_text(&store->command, "1000");
    struct redis_question *question =
        store_redis_make(store, QUESTION_PROBE, NULL, &key, REDIS_SCRIPTS);
    store->is_probing = question != NULL;
    store_redis_enqueue(store, question);
}

static void spell(char text[REDIS_TROUBLE_MAX], enum redis_fault fault, const char *detail)
{
    (void)snprintf(text, REDIS_TROUBLE_MAX, detail[0] ? "redis: %s (%s)" : "redis: %s",
                   redis_fault_text(fault), detail);
}

/* A slot's server that is ready, for want of anything that is wrong. */
static bool is_ready(struct store_redis *store)
{
    struct redis_link *link = NULL;
    struct redis_key key = store_redis_common_key(store, "members");
    return store_redis_route(store, redis_slot_of(key.bytes, key.length), &link) ==
           REDIS_ROUTE_READY;
}

void store_redis_report(struct store_redis *store)
{
    enum redis_fault fault;
    const struct redis_link *link = store_redis_trouble(store, &fault);
    bool is_waiting = false;
    if (fault != REDIS_FAULT_NONE) {
        spell(store->trouble, fault, link ? redis_link_detail(link) : "");
    } else if (store->fault != REDIS_FAULT_NONE) {
        spell(store->trouble, store->fault, store->fault_detail);
        link = store->url.kind == REDIS_CLUSTER ? NULL : link;
        probe(store);
    } else {
        is_waiting = !is_ready(store);
        (void)snprintf(store->trouble, sizeof store->trouble, "%s",
                       is_waiting ? "redis: not connected yet" : "");
    }

    uint64_t left_out = 0;
    if (is_waiting || strcmp(store->trouble, store->reported) == 0 ||
        !log_allow(&store->log_limit, store->now_ms, 2, &left_out))
        return;
    char host[REDIS_HOST_TEXT_MAX], quoted[2 * REDIS_TROUBLE_MAX];
    redis_host_format(link ? redis_link_host(link) : &store->url.hosts[0], host);
    if (store->trouble[0])
        log_line(LOG_WARN, "redis", "not available", "server=%s reason=%s left_out=%llu", host,
                 log_quote(quoted, sizeof quoted, store->trouble, strlen(store->trouble)),
                 (unsigned long long)left_out);
    else
        log_line(LOG_INFO, "redis", "available", "server=%s", host);
    memcpy(store->reported, store->trouble, sizeof store->reported);
}
