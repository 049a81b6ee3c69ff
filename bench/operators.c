#include "bench/operators.h"

#include "bench/clock.h"
#include "shared/http.h"
#include "shared/limits.h"
#include "shared/metrics.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CALL_MS 120000 /* longer than a device may take, by worker/README.md */
#define CONNECT_MS 5000
#define METRICS_MS 5000
#define REDIRECTS_MAX 4
#define SCHEME "http://"

_Static_assert(OPERATORS_CALLS_MAX < API_WAITING_MAX, "others may ask as well");

struct call {
    CURL *curl; /* kept from one call to the next */
    uint64_t start_us;
    uint32_t tag;
    bool is_busy;
};

struct operators {
    CURLM *multi;
    struct curl_slist *headers;
    struct text body;
    char api[ADDRESS_TEXT_MAX];
    operators_done_fn *done;
    void *owner;
    size_t under_way;
    struct call calls[OPERATORS_CALLS_MAX];
    size_t worker_count;
    struct address workers[OPERATORS_WORKERS_MAX];
};

static size_t ignore_body(char *bytes, size_t size, size_t count, void *owner)
{
    (void)bytes;
    (void)owner;
    return size * count;
}

/* {"path": "/PATH"} */
static void write_body(struct text *body, const char *path)
{
    text_add(body, "{\"path\":\"/");
    for (path += *path == '/'; *path; path++)
        text_add(body, *path == '"' || *path == '\\' ? "\\%c" : "%c", *path);
    text_add(body, "\"}");
}

/* Straight to the server, wherever it sends us: no proxy of the environment, no signals. A POST
 * stays one after a 307. */
static bool set_up(const struct operators *operators, struct call *call)
{
    CURL *curl = call->curl = curl_easy_init();
    if (!curl)
        return false;
    return curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)CALL_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, operators->headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POSTFIELDS, operators->body.bytes) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PRIVATE, call) == CURLE_OK;
}

enum status operators_new(struct operators **made, const struct address *api, const char *path,
                          operators_done_fn *done, void *owner)
{
    struct operators *operators = calloc(1, sizeof(*operators));
    *made = operators;
    if (!operators)
        return STATUS_NO_MEMORY;
    operators->done = done;
    operators->owner = owner;
    (void)address_format(api, operators->api);
    write_body(&operators->body, path);
    operators->multi = curl_multi_init();
    operators->headers = curl_slist_append(NULL, "Content-Type: application/json");
    bool is_whole = operators->multi && operators->headers && !operators->body.failed;
    for (size_t i = 0; is_whole && i < OPERATORS_CALLS_MAX; i++)
        is_whole = set_up(operators, &operators->calls[i]);
    if (is_whole)
        return STATUS_OK;
    operators_free(operators);
    *made = NULL;
    return STATUS_NO_MEMORY;
}

void operators_free(struct operators *operators)
{
    if (!operators)
        return;
    for (size_t i = 0; i < OPERATORS_CALLS_MAX; i++) {
        if (operators->calls[i].is_busy)
            (void)curl_multi_remove_handle(operators->multi, operators->calls[i].curl);
        curl_easy_cleanup(operators->calls[i].curl);
    }
    if (operators->multi)
        (void)curl_multi_cleanup(operators->multi);
    curl_slist_free_all(operators->headers);
    free(operators->body.bytes);
    free(operators);
}

static struct call *find_free(struct operators *operators)
{
    for (size_t i = 0; i < OPERATORS_CALLS_MAX; i++) {
        if (!operators->calls[i].is_busy)
            return &operators->calls[i];
    }
    return NULL;
}

enum status operators_observe(struct operators *operators, uint32_t tag, struct octets cid)
{
    struct text url = {0};
    struct call *call = find_free(operators);
    enum status status = STATUS_FULL;
    if (!call)
        return status;
    text_add(&url, SCHEME "%s/api/v1/sessions/", operators->api);
    for (size_t i = 0; i < cid.length; i++)
        text_add(&url, "%02x", cid.bytes[i]);
    text_add(&url, "/observations");
    status = STATUS_NO_MEMORY;
    if (!url.failed && curl_easy_setopt(call->curl, CURLOPT_URL, url.bytes) == CURLE_OK &&
        curl_multi_add_handle(operators->multi, call->curl) == CURLM_OK) {
        call->start_us = clock_now_us();
        call->tag = tag;
        call->is_busy = true;
        operators->under_way++;
        status = STATUS_OK;
    }
    free(url.bytes);
    return status;
}

/* Where the reply came from is a worker that is observing. */
static void note_worker(struct operators *operators, const char *url)
{
    struct address worker;
    char text[ADDRESS_TEXT_MAX];
    if (!url || strncmp(url, SCHEME, strlen(SCHEME)) != 0)
        return;
    url += strlen(SCHEME);
    size_t length = strcspn(url, "/");
    if (length >= sizeof(text))
        return;
    memcpy(text, url, length);
    text[length] = '\0';
    if (address_parse(&worker, text) != STATUS_OK)
        return;
    for (size_t i = 0; i < operators->worker_count; i++) {
        if (address_equal(&operators->workers[i], &worker))
            return;
    }
    if (operators->worker_count < OPERATORS_WORKERS_MAX)
        operators->workers[operators->worker_count++] = worker;
}

static void end(struct operators *operators, CURL *curl, CURLcode outcome)
{
    struct call *call = NULL;
    const char *url = NULL;
    long status = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&call);
    (void)curl_multi_remove_handle(operators->multi, curl);
    if (!call)
        return;
    if (outcome != CURLE_OK || curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
        status = 0;
    if (status == 201 && curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &url) == CURLE_OK)
        note_worker(operators, url);
    call->is_busy = false;
    operators->under_way--;
    operators->done(operators->owner, call->tag, (int)status, clock_now_us() - call->start_us);
}

void operators_run(struct operators *operators)
{
    int running, left;
    CURLMsg *message;
    if (operators->under_way == 0)
        return;
    (void)curl_multi_perform(operators->multi, &running);
    while ((message = curl_multi_info_read(operators->multi, &left))) {
        if (message->msg == CURLMSG_DONE)
            end(operators, message->easy_handle, message->data.result);
    }
}

size_t operators_calls(const struct operators *operators)
{
    return operators->under_way;
}

size_t operators_workers(const struct operators *operators)
{
    return operators->worker_count;
}

/* A line "NAME VALUE" of the Prometheus text. */
static bool find_metric(const struct text *page, const char *metric, uint64_t *value)
{
    size_t length = strlen(metric);
    for (const char *line = page->bytes; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, metric, length) == 0 && line[length] == ' ') {
            *value = strtoull(line + length, NULL, 10);
            return true;
        }
    }
    return false;
}

enum status operators_count(const struct operators *operators, const char *metric, uint64_t *sum)
{
    *sum = 0;
    for (size_t i = 0; i < operators->worker_count; i++) {
        struct text page = {0};
        uint64_t value = 0;
        int code = 0;
        bool found =
            http_get(&operators->workers[i], "/metrics", METRICS_MS, &code, &page) == STATUS_OK &&
            code == 200 && find_metric(&page, metric, &value);
        free(page.bytes);
        if (!found)
            return STATUS_NOT_FOUND;
        *sum += value;
    }
    return STATUS_OK;
}
