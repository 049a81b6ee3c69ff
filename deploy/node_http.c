#include "deploy/node.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static long now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* GET of a child within what is left until `until`; its status, 0 without an answer. */
static int ask(const struct child *child, const char *path, long until, struct text *body)
{
    int status = 0;
    long left_ms = until - now_ms();
    if (child->state != CHILD_SERVING || left_ms <= 0)
        return 0;
    return http_get(&child->ready.http, path, left_ms, &status, body) == STATUS_OK ? status : 0;
}

static void answer_ready(const struct node *node, struct http_reply *reply)
{
    long until = now_ms() + UP_PROBE_MS;
    if (node->stage != NODE_SERVING) {
        reply->status = 503;
        text_add(&reply->body, "up is %s\n",
                 node->stage == NODE_STARTING ? "starting" : "stopping");
        return;
    }
    for (size_t i = 0; i < node->child_count; i++) {
        struct text body = {0};
        const struct child *child = &node->children[i];
        int status = ask(child, "/readyz", until, &body);
        free(body.bytes);
        if (status == 200)
            continue;
        reply->status = 503;
        if (status)
            text_add(&reply->body, "%s is not ready: its /readyz says %d\n", child->name, status);
        else
            text_add(&reply->body, "%s is not ready: it gives no answer\n", child->name);
        return;
    }
    text_add(&reply->body, "ready\n");
}

/* The sum over the children that answer; how many those are is a metric too. */
static void answer_metrics(struct node *node, struct http_reply *reply)
{
    long until = now_ms() + UP_PROBE_MS;
    struct text texts[UP_WORKERS_MAX + 2] = {0};
    const char *merge[UP_WORKERS_MAX + 2];
    size_t count = 0;
    size_t serving = 0;
    for (size_t i = 0; i < node->child_count; i++) {
        struct text *text = &texts[1 + i];
        if (ask(&node->children[i], "/metrics", until, text) == 200 && text->bytes) {
            merge[++count] = text->bytes;
            serving++;
        }
    }
    metrics_set(&node->metrics, 0, NODE_CHILDREN, node->child_count);
    metrics_set(&node->metrics, 0, NODE_CHILDREN_SERVING, serving);
    metrics_write(&node->metrics, &texts[0]);
    merge[0] = texts[0].bytes;

    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    if (texts[0].failed || metrics_merge(merge, count + 1, &reply->body) != STATUS_OK) {
        reply->status = 502;
        text_add(&reply->body, "a child's metrics are not in the format\n");
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i].bytes);
}

bool node_answer(void *owner, const char *path, struct http_reply *reply)
{
    struct node *node = owner;
    if (strcmp(path, "/readyz") == 0)
        answer_ready(node, reply);
    else if (strcmp(path, "/metrics") == 0)
        answer_metrics(node, reply);
    else
        return false;
    return true;
}
