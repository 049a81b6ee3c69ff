#include "shared/redis_fault.h"

#include <string.h>

static const struct row {
    const char *word; /* of an error reply */
    const char *text;
    bool of_writes;
} rows[] = {
    [REDIS_FAULT_NONE] = {NULL, "no fault", false},
    [REDIS_FAULT_RESOLVE] = {NULL, "name does not resolve", false},
    [REDIS_FAULT_REFUSED] = {NULL, "connection refused", false},
    [REDIS_FAULT_UNREACHABLE] = {NULL, "not reachable", false},
    [REDIS_FAULT_CONNECT_TIMEOUT] = {NULL, "no answer to the connection attempt", false},
    [REDIS_FAULT_TLS] = {NULL, "TLS failed", false},
    [REDIS_FAULT_TIMEOUT] = {NULL, "no answer within 2 s", false},
    [REDIS_FAULT_CLOSED] = {NULL, "connection lost", false},
    [REDIS_FAULT_PROTOCOL] = {NULL, "protocol error: this is no Redis", false},
    [REDIS_FAULT_NO_MASTER] = {NULL, "no sentinel names a master", false},
    [REDIS_FAULT_NOT_MASTER] = {NULL, "the server that sentinels name is not a master", false},
    [REDIS_FAULT_NO_NODE] = {NULL, "the cluster has a slot that no node serves", false},
    [REDIS_FAULT_RESOURCES] = {NULL, "out of descriptors or memory here", false},
    [REDIS_FAULT_NOAUTH] = {"NOAUTH", "a password is required", false},
    [REDIS_FAULT_WRONGPASS] = {"WRONGPASS", "wrong user or password", false},
    [REDIS_FAULT_NOPERM] = {"NOPERM", "the user may not do what is needed", false},
    [REDIS_FAULT_LOADING] = {"LOADING", "loading its data", false},
    [REDIS_FAULT_BUSY] = {"BUSY", "busy with a script of somebody's", false},
    [REDIS_FAULT_OOM] = {"OOM", "out of memory", true},
    [REDIS_FAULT_READONLY] = {"READONLY", "a read-only replica", true},
    [REDIS_FAULT_MISCONF] = {"MISCONF", "refuses writes: it cannot persist them", true},
    [REDIS_FAULT_NOREPLICAS] = {"NOREPLICAS", "refuses writes: too few replicas", true},
    [REDIS_FAULT_MASTERDOWN] = {"MASTERDOWN", "a replica without its master", false},
    [REDIS_FAULT_CLUSTERDOWN] = {"CLUSTERDOWN", "the cluster is down", false},
    [REDIS_FAULT_OTHER] = {"", "unexpected error reply", false},
};

const char *redis_fault_text(enum redis_fault fault)
{
    return rows[fault].text;
}

bool redis_fault_is_of_writes(enum redis_fault fault)
{
    return rows[fault].of_writes;
}

bool redis_error_is(const char *text, size_t length, const char *word)
{
    const char *end = text + length;
    size_t word_length = strlen(word);
    for (const char *at = text; (at = memmem(at, (size_t)(end - at), word, word_length)); at++) {
        const char *after = at + word_length;
        bool starts = at == text || at[-1] == '-' || at[-1] == ' ';
        if (starts && (after == end || *after == ' '))
            return true;
    }
    return false;
}

enum redis_fault redis_fault_of(const char *text, size_t length)
{
    for (int fault = REDIS_FAULT_NOAUTH; fault < REDIS_FAULT_OTHER; fault++) {
        size_t word_length = strlen(rows[fault].word);
        if (length >= word_length && memcmp(text, rows[fault].word, word_length) == 0 &&
            (length == word_length || text[word_length] == ' '))
            return (enum redis_fault)fault;
    }
    for (int fault = REDIS_FAULT_NOAUTH; fault < REDIS_FAULT_OTHER; fault++) {
        if (redis_error_is(text, length, rows[fault].word))
            return (enum redis_fault)fault;
    }
    return REDIS_FAULT_OTHER;
}
