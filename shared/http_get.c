#include "shared/http.h"
#include "shared/limits.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>

/* Taking fewer octets than offered ends the transfer. */
static size_t take_body(char *bytes, size_t size, size_t count, void *owner)
{
    struct text *body = owner;
    if (body->length + size * count > HTTP_BODY_MAX)
        return 0;
    text_append(body, bytes, size * count);
    return body->failed ? 0 : size * count;
}

enum status http_get(const struct address *address, const char *path, long timeout_ms, int *status,
                     struct text *body)
{
    enum status result = STATUS_NO_MEMORY;
    struct text url = {0};
    char where[ADDRESS_TEXT_MAX];
    text_add(&url, "http://%s%s", address_format(address, where), path);
    CURL *curl = curl_easy_init();
    if (!curl || url.failed)
        goto done;

    /* Straight to the address: no proxy of the environment, no signals, no other scheme. */
    long code = 0;
    CURLcode set = curl_easy_setopt(curl, CURLOPT_URL, url.bytes);
    if (set == CURLE_OK)
        set = curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    if (set == CURLE_OK)
        set = curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (set == CURLE_OK)
        set = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    if (set == CURLE_OK)
        set = curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    if (set == CURLE_OK)
        set = curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    if (set == CURLE_OK)
        set = curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (set != CURLE_OK)
        goto done;

    result = STATUS_SYSTEM;
    CURLcode performed = curl_easy_perform(curl);
    if (performed == CURLE_OPERATION_TIMEDOUT)
        errno = ETIMEDOUT;
    else if (performed == CURLE_COULDNT_CONNECT)
        errno = ECONNREFUSED;
    else if (performed != CURLE_OK)
        errno = EPROTO;
    if (performed == CURLE_OK &&
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code) == CURLE_OK) {
        *status = (int)code;
        result = STATUS_OK;
    }

done:
    curl_easy_cleanup(curl);
    free(url.bytes);
    return result;
}
