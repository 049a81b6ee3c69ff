#include "shared/http.h"
#include "shared/limits.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* A server on the loop of this process; its client is a child process, since http_get blocks. */
static struct io *io;
static struct http *http;
static char asked[64]; /* the path that the handler saw last */

static bool handle(void *owner, const char *path, struct http_reply *reply)
{
    cr_assert_eq(owner, &io);
    snprintf(asked, sizeof asked, "%s", path);
    if (strcmp(path, "/readyz") == 0) {
        reply->status = 503;
        text_add(&reply->body, "worker 2 is not ready\n");
        return true;
    }
    if (strcmp(path, "/large") == 0) {
        for (int i = 0; i < 100000; i++)
            text_add(&reply->body, "%09d\n", i);
        return true;
    }
    if (strcmp(path, "/huge") == 0) {
        static const char block[4096];
        for (int i = 0; i <= HTTP_BODY_MAX / 4096; i++)
            text_append(&reply->body, block, sizeof block);
        return true;
    }
    text_add(&reply->body, "dropped");
    return false;
}

/* What waits for an answer, and after how many turns of the loop it gets it. */
static struct http_pending *later;
static int later_turns;

static enum http_outcome serve(void *owner, const struct http_request *request,
                               struct http_reply *reply)
{
    static const char *const names[HTTP_METHODS] = {"get", "post", "put", "patch", "delete"};
    cr_assert_eq(owner, &later);
    if (strcmp(request->target, "/api/later") == 0) {
        later = request->pending;
        return HTTP_LATER;
    }
    if (strcmp(request->target, "/api/elsewhere") == 0) {
        reply->status = 307;
        reply->content_type = NULL;
        text_add(&reply->location, "http://127.0.0.1:1%s", request->target);
        return HTTP_DONE;
    }
    reply->status = 201;
    text_add(&reply->body, "%s %s %s %s %zu:%.*s", names[request->method], request->target,
             request->content_type ? request->content_type : "-",
             request->accept ? request->accept : "-", request->body.length,
             request->body.length > 8 ? 8 : (int)request->body.length,
             (const char *)request->body.bytes);
    return HTTP_DONE;
}

static void take_turn(void)
{
    if (later && later_turns-- == 0) {
        struct http_reply reply = {.status = 200, .content_type = "text/plain"};
        text_add(&reply.body, "at last");
        http_answer(http, later, &reply);
        later = NULL;
    }
}

static void start_on(const char *where)
{
    struct address any;
    cr_assert_eq(address_parse(&any, where), STATUS_OK);
    cr_assert_eq(io_new(&io, IO_MMSG), STATUS_OK);
    cr_assert_eq(http_start(&http, io, &any, handle, &io), STATUS_OK);
    cr_assert_neq(http_local_address(http).port, 0);
}

static void start(void)
{
    start_on("127.0.0.1:0");
}

static void stop(void)
{
    http_stop(http);
    io_free(io);
}

/* Serves until the child has ended; its exit status. */
static int serve_until_end_of(pid_t child)
{
    for (;;) {
        int status;
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
        uint64_t wait_ms = http_timeout_ms(http);
        cr_assert_eq(io_turn(io, io_now_ms(io) + (wait_ms < 10 ? wait_ms : 10)), STATUS_OK);
        http_run(http);
    }
}

struct answer {
    enum status result;
    int status;
    size_t length;
    char body[64];
};

static struct answer get(const char *path)
{
    struct answer *answer =
        mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(answer, MAP_FAILED);
    struct address address = http_local_address(http);
    pid_t child = fork();
    if (child == 0) {
        struct text body = {0};
        answer->result = http_get(&address, path, 5000, &answer->status, &body);
        answer->length = body.length;
        if (body.bytes)
            memcpy(answer->body, body.bytes, body.length < 64 ? body.length : 63);
        _exit(0);
    }
    cr_assert_eq(serve_until_end_of(child), 0);
    struct answer copy = *answer;
    munmap(answer, sizeof *answer);
    return copy;
}

/* What a raw request gets, up to the end of the connection. */
static const char *raw(const char *request)
{
    static char reply[4096];
    struct address address = http_local_address(http);
    struct sockaddr_storage to;
    socklen_t length = address_to_sockaddr(&address, AF_INET, &to);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&to, length), 0);
    cr_assert_eq(write(client, request, strlen(request)), (ssize_t)strlen(request));
    shutdown(client, SHUT_WR);
    size_t got = 0;
    for (;;) {
        cr_assert_eq(io_turn(io, io_now_ms(io) + 5), STATUS_OK);
        take_turn();
        if (http_timeout_ms(http) == 0) /* else its descriptor wakes the loop */
            http_run(http);
        ssize_t more = recv(client, reply + got, sizeof reply - 1 - got, MSG_DONTWAIT);
        if (more > 0)
            got += (size_t)more;
        else if (more == 0 || errno != EAGAIN)
            break;
    }
    close(client);
    reply[got] = '\0';
    return reply;
}

TestSuite(http, .init = start, .fini = stop);

Test(http, health_is_answered_without_the_handler)
{
    struct answer answer = get("/healthz");
    cr_assert_eq(answer.result, STATUS_OK);
    cr_assert_eq(answer.status, 200);
    cr_assert_str_eq(answer.body, "ok\n");
    cr_assert_str_empty(asked);
}

Test(http, handler_sees_the_path_as_sent_without_the_query)
{
    struct answer answer = get("/readyz?verbose=1");
    cr_assert_eq(answer.status, 503);
    cr_assert_str_eq(answer.body, "worker 2 is not ready\n");
    cr_assert_str_eq(asked, "/readyz");
    answer = get("/api/a%2Fb");
    cr_assert_eq(answer.status, 404);
    cr_assert_str_eq(answer.body, "no such path\n");
    cr_assert_str_eq(asked, "/api/a%2Fb");
}

Test(http, long_body_arrives_whole)
{
    struct answer answer = get("/large");
    cr_assert_eq(answer.status, 200);
    cr_assert_eq(answer.length, 1000000);
}

Test(http, client_takes_no_more_than_its_bound)
{
    struct answer answer = get("/huge");
    cr_assert_eq(answer.result, STATUS_SYSTEM);
    cr_assert_leq(answer.length, HTTP_BODY_MAX);
}

Test(http, other_methods_are_refused)
{
    const char *reply = raw("POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                            "Connection: close\r\n\r\nabc");
    cr_assert(strstr(reply, " 405 "), "%s", reply);
    cr_assert(strstr(reply, "Allow: GET\r\n"), "%s", reply);
    reply = raw("DELETE /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    cr_assert(strstr(reply, " 405 "));
    cr_assert_str_empty(asked);
}

Test(http, garbage_and_oversized_requests_harm_nobody)
{
    (void)raw("\x16\x03\x01 this is no HTTP\r\n\r\n");
    (void)raw("");
    static char large[2 * HTTP_CONNECTION_MEMORY_MAX];
    memset(large, 'a', sizeof large - 1);
    memcpy(large, "GET /", 5);
    const char *reply = raw(large);
    cr_assert(reply[0] == '\0' || strstr(reply, " 414 ") || strstr(reply, " 431 "), "%s", reply);
    cr_assert_eq(get("/healthz").status, 200);
}

Test(http, taken_port_says_why)
{
    struct http *second = NULL;
    struct address taken = http_local_address(http);
    cr_assert_eq(http_start(&second, io, &taken, handle, NULL), STATUS_SYSTEM);
    cr_assert_eq(errno, EADDRINUSE);
    cr_assert_null(second);
}

Test(http, stopped_server_frees_its_port)
{
    struct address address = http_local_address(http);
    http_stop(http);
    int status;
    struct text body = {0};
    cr_assert_eq(http_get(&address, "/healthz", 500, &status, &body), STATUS_SYSTEM);
    cr_assert_eq(errno, ECONNREFUSED);
    free(body.bytes);
    cr_assert_eq(http_start(&http, io, &address, handle, &io), STATUS_OK);
}

Test(http, silent_server_times_out)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof any;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&any, sizeof any), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&any, &length), 0);
    struct address address;
    cr_assert_eq(address_from_sockaddr(&address, (struct sockaddr *)&any, length), STATUS_OK);
    int status;
    struct text body = {0};
    cr_assert_eq(http_get(&address, "/", 50, &status, &body), STATUS_SYSTEM);
    cr_assert_eq(errno, ETIMEDOUT);
    free(body.bytes);
    close(listener);
}

Test(http, environment_names_no_proxy)
{
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    cr_assert_eq(get("/healthz").status, 200);
}

/* --- the API --- */

#define CLOSE "Host: x\r\nConnection: close\r\n"

static void serve_api(void)
{
    http_serve(http, "/api/", serve, &later);
}

Test(http, api_sees_method_target_fields_and_body)
{
    serve_api();
    const char *reply = raw("PUT /api/a%2Fb/c?x=%20&y HTTP/1.1\r\nContent-Type: text/plain\r\n"
                            "Accept: application/json\r\nContent-Length: 3\r\n" CLOSE "\r\nabc");
    cr_assert(strstr(reply, " 201 "), "%s", reply);
    cr_expect(strstr(reply, "put /api/a%2Fb/c?x=%20&y text/plain application/json 3:abc"), "%s",
              reply);
    cr_expect(strstr(raw("DELETE /api/a HTTP/1.1\r\n" CLOSE "\r\n"), "delete /api/a - - 0:"));
    cr_expect(strstr(raw("PATCH /api/a HTTP/1.1\r\n" CLOSE "\r\n"), "patch /api/a - - 0:"));
    cr_expect(strstr(raw("POST /api/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE
                         "\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
                     "post /api/a - - 3:abc"));
    cr_expect(strstr(raw("BREW /api/a HTTP/1.1\r\n" CLOSE "\r\n"), " 501 "));
    cr_expect(strstr(raw("POST /apis HTTP/1.1\r\n" CLOSE "\r\n"), " 405 "), "not under it");
    cr_assert_str_empty(asked);
}

Test(http, api_can_send_elsewhere)
{
    serve_api();
    const char *reply = raw("GET /api/elsewhere HTTP/1.1\r\n" CLOSE "\r\n");
    cr_assert(strstr(reply, " 307 "), "%s", reply);
    cr_assert(strstr(reply, "Location: http://127.0.0.1:1/api/elsewhere\r\n"), "%s", reply);
    cr_assert_not(strstr(reply, "Content-Type"));
}

static const char *post_of(size_t octets)
{
    static char request[HTTP_REQUEST_MAX + 256];
    int head = snprintf(request, sizeof request,
                        "POST /api/a HTTP/1.1\r\nContent-Length: %zu\r\n" CLOSE "\r\n", octets);
    memset(request + head, 'b', octets);
    request[(size_t)head + octets] = '\0';
    return raw(request);
}

Test(http, api_bodies_are_bounded)
{
    char whole[32];
    serve_api();
    snprintf(whole, sizeof whole, " %d:bbbbbbbb", HTTP_REQUEST_MAX);
    const char *reply = post_of(HTTP_REQUEST_MAX);
    cr_expect(strstr(reply, " 201 ") && strstr(reply, whole), "%s", reply);
    cr_expect(strstr(post_of(HTTP_REQUEST_MAX + 1), " 413 "));
    cr_expect(strstr(post_of(1), " 1:b"));
}

Test(http, api_answers_later_and_others_meanwhile)
{
    serve_api();
    later_turns = 20;
    const char *reply = raw("GET /api/later HTTP/1.1\r\n" CLOSE "\r\n");
    cr_assert(strstr(reply, " 200 "), "%s", reply);
    cr_assert(strstr(reply, "\r\n\r\nat last"), "%s", reply);
    cr_assert_null(later);
}

/* Connects, asks, and leaves without waiting. */
static void ask_and_leave(const char *request)
{
    struct address address = http_local_address(http);
    struct sockaddr_storage to;
    socklen_t length = address_to_sockaddr(&address, AF_INET, &to);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&to, length), 0);
    cr_assert_eq(write(client, request, strlen(request)), (ssize_t)strlen(request));
    for (int turn = 0; turn < 100 && !later; turn++) {
        cr_assert_eq(io_turn(io, io_now_ms(io) + 5), STATUS_OK);
        http_run(http);
    }
    cr_assert_not_null(later);
    close(client);
}

Test(http, api_client_may_leave)
{
    serve_api();
    later_turns = 3;
    ask_and_leave("GET /api/later HTTP/1.1\r\n" CLOSE "\r\n");
    for (int turn = 0; turn < 10; turn++) {
        cr_assert_eq(io_turn(io, io_now_ms(io) + 5), STATUS_OK);
        take_turn();
        http_run(http);
    }
    cr_assert_null(later);
    cr_assert_eq(get("/healthz").status, 200);
}

Test(http, stopping_answers_what_waits)
{
    serve_api();
    later_turns = 1000;
    ask_and_leave("GET /api/later HTTP/1.1\r\n" CLOSE "\r\n");
    later = NULL; /* stop follows */
}

Test(http_v6, is_served)
{
    start_on("[::1]:0");
    cr_assert_eq(get("/healthz").status, 200);
    stop();
}
