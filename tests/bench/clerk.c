#include "tests/bench/clerk.h"

#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool is_whole(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strcasestr(request, "\r\nContent-Length: ");
    if (!end)
        return false;
    return !length || strlen(end + 4) >= strtoul(length + 18, NULL, 10);
}

/* False: the client has gone. */
static bool read_request(int connection, char request[CLERK_REQUEST_MAX])
{
    size_t length = 0;
    request[0] = '\0';
    while (!is_whole(request)) {
        ssize_t got = read(connection, request + length, CLERK_REQUEST_MAX - 1 - length);
        if (got <= 0)
            return false;
        length += (size_t)got;
        request[length] = '\0';
    }
    return true;
}

static void answer(int connection, int status, const char *header, const char *body)
{
    (void)dprintf(connection,
                  "HTTP/1.1 %d x\r\n%sConnection: close\r\nContent-Length: %zu\r\n\r\n%s", status,
                  header, strlen(body), body);
}

static void take_post(struct clerk_books *books, int connection, const char *request)
{
    char header[CLERK_REQUEST_MAX] = "";
    int status = 0;
    for (size_t i = 0; i <= books->posts && i < CLERK_STATUSES_MAX && books->statuses[i] > 0; i++)
        status = books->statuses[i];
    if (books->posts < CLERK_REQUESTS_MAX)
        strcpy(books->requests[books->posts], request);
    books->posts++;
    if (status == 307) {
        const char *path = strchr(request, ' ') + 1;
        (void)snprintf(header, sizeof(header), "Location: http://%s%.*s\r\n", books->location,
                       (int)strcspn(path, " "), path);
    }
    answer(connection, status, header, "{}\n");
}

static _Noreturn void work(struct clerk_books *books, int listener)
{
    char request[CLERK_REQUEST_MAX];
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            _exit(1);
        if (read_request(connection, request)) {
            if (strncmp(request, "POST ", 5) == 0)
                take_post(books, connection, request);
            else
                answer(connection, books->metrics[0] ? 200 : 404, "", books->metrics);
        }
        close(connection);
    }
}

void clerk_start(struct clerk *clerk)
{
    struct sockaddr_storage own;
    struct address any;
    clerk->books = mmap(NULL, sizeof(*clerk->books), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(clerk->books, MAP_FAILED);
    cr_assert_eq(address_parse(&any, "127.0.0.1:0"), STATUS_OK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t length = address_to_sockaddr(&any, AF_INET, &own);
    cr_assert_eq(bind(listener, (struct sockaddr *)&own, length), 0);
    cr_assert_eq(listen(listener, 64), 0);
    length = sizeof(own);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&own, &length), 0);
    cr_assert_eq(address_from_sockaddr(&clerk->address, (struct sockaddr *)&own, length),
                 STATUS_OK);
    clerk->pid = fork();
    cr_assert_geq(clerk->pid, 0);
    if (clerk->pid == 0)
        work(clerk->books, listener);
    close(listener);
}

void clerk_stop(struct clerk *clerk)
{
    (void)kill(clerk->pid, SIGKILL);
    (void)waitpid(clerk->pid, NULL, 0);
    munmap(clerk->books, sizeof(*clerk->books));
}
