/* The part of RFC 6455 that the tools need: the opening handshake on both sides, and frames.
 *
 * Not a general implementation: no fragmentation, no extensions, messages up to 64 MB.
 */
#ifndef SWARM_WS_H
#define SWARM_WS_H

#include "net.h"

#include <strings.h>

enum { WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* ---- SHA-1 (RFC 3174) of a short text, and base64 (RFC 4648) -------------------------------------- */

static inline uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

static inline void sha1_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20)
            f = (b & c) | (~b & d), k = 0x5A827999;
        else if (i < 40)
            f = b ^ c ^ d, k = 0x6ED9EBA1;
        else if (i < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
        else
            f = b ^ c ^ d, k = 0xCA62C1D6;
        uint32_t t = rotate(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* At most 119 characters: what fits two blocks. A WebSocket key with its GUID has 60. */
static inline void sha1(const char *text, uint8_t digest[20])
{
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t blocks[128] = {0};
    size_t length = strlen(text), whole = length < 56 ? 64 : 128;
    memcpy(blocks, text, length);
    blocks[length] = 0x80;
    blocks[whole - 2] = (uint8_t)(length * 8 >> 8);
    blocks[whole - 1] = (uint8_t)(length * 8);
    for (size_t at = 0; at < whole; at += 64)
        sha1_block(h, blocks + at);
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static inline void base64(const uint8_t *from, size_t length, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t three = (uint32_t)from[i] << 16 | (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
                         (left > 2 ? from[i + 2] : 0);
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[three & 63] : '=';
    }
    *to = 0;
}

/* Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2). */
static inline void accept_key(const char *key, char out[29])
{
    char text[120];
    uint8_t digest[20];
    snprintf(text, sizeof text, "%.40s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, digest);
    base64(digest, 20, out);
}

/* ---- opening handshake ----------------------------------------------------------------------------- */

/* Where the header block that starts at `head` ends, or 0 while it is not complete. */
static inline size_t head_length(const char *head, size_t length)
{
    const char *end = memmem(head, length, "\r\n\r\n", 4);
    return end ? (size_t)(end - head) + 4 : 0;
}

/* The value of a header, copied to `out`; false when it is not there. */
static inline bool header(const char *head, size_t length, const char *name, char *out, size_t room)
{
    size_t n = strlen(name);
    const char *line = head, *stop = head + length, *end;
    while (line < stop && (end = memmem(line, (size_t)(stop - line), "\r\n", 2))) {
        if ((size_t)(end - line) > n && line[n] == ':' && !strncasecmp(line, name, n)) {
            line += n + 1;
            while (line < end && *line == ' ')
                line++;
            size_t size = (size_t)(end - line) < room - 1 ? (size_t)(end - line) : room - 1;
            memcpy(out, line, size);
            out[size] = 0;
            return true;
        }
        line = end + 2;
    }
    return false;
}

/* The 101 answer to an upgrade request; 0 when it is not one. */
static inline size_t upgrade_answer(const char *head, size_t length, char *out, size_t room)
{
    char key[64], accept[29];
    if (!header(head, length, "Sec-WebSocket-Key", key, sizeof key))
        return 0;
    accept_key(key, accept);
    return (size_t)snprintf(out, room,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                            accept);
}

/* The example of RFC 6455, 1.3: our clients always send this key, so they know the answer. */
#define CLIENT_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define CLIENT_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static inline size_t upgrade_request(const char *host, int port, const char *path, char *out, size_t room)
{
    return (size_t)snprintf(out, room,
                            "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Key: " CLIENT_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
                            path, host, port);
}

static inline bool upgrade_accepted(const char *head, size_t length)
{
    char accept[64];
    return length > 12 && !memcmp(head, "HTTP/1.1 101", 12) &&
           header(head, length, "Sec-WebSocket-Accept", accept, sizeof accept) && !strcmp(accept, CLIENT_ACCEPT);
}

/* ---- frames ------------------------------------------------------------------------------------------ */

struct frame {
    int opcode;
    char *payload;
    size_t length; /* of the payload */
    size_t whole;  /* header included; 0: not complete yet */
};

/* Read one frame at `at`, unmasking in place. */
static inline struct frame read_frame(char *at, size_t length)
{
    struct frame f = {0};
    if (length < 2)
        return f;
    const uint8_t *b = (const uint8_t *)at;
    size_t head = 2;
    uint64_t size = b[1] & 127;
    bool masked = b[1] & 128;
    if (size == 126) {
        if (length < 4)
            return f;
        size = (uint64_t)b[2] << 8 | b[3];
        head = 4;
    } else if (size == 127) {
        if (length < 10)
            return f;
        size = 0;
        for (int i = 2; i < 10; i++)
            size = size << 8 | b[i];
        if (size > 64u << 20)
            die("a frame of %llu bytes", (unsigned long long)size);
        head = 10;
    }
    if (length < head + (masked ? 4 : 0) + size)
        return f;
    if (masked) {
        const uint8_t *key = b + head;
        head += 4;
        for (uint64_t i = 0; i < size; i++)
            at[head + i] ^= (char)key[i & 3];
    }
    f.opcode = b[0] & 15;
    f.payload = at + head;
    f.length = size;
    f.whole = head + size;
    return f;
}

/* Write a final frame's header. A client's mask key is zero: legal, and the payload stays as it is. */
static inline size_t frame_head(char *out, int opcode, size_t length, bool masked)
{
    uint8_t *b = (uint8_t *)out;
    size_t n = 2;
    b[0] = (uint8_t)(0x80 | opcode);
    if (length < 126) {
        b[1] = (uint8_t)length;
    } else {
        b[1] = 126;
        b[2] = (uint8_t)(length >> 8);
        b[3] = (uint8_t)length;
        n = 4;
    }
    if (length > 65535)
        die("a frame of %zu bytes is longer than the tools send", length);
    if (masked) {
        b[1] |= 128;
        memset(out + n, 0, 4);
        n += 4;
    }
    return n;
}

static inline size_t write_frame(char *out, int opcode, const char *payload, size_t length, bool masked)
{
    size_t head = frame_head(out, opcode, length, masked);
    memcpy(out + head, payload, length);
    return head + length;
}

/* ---- the client's message ------------------------------------------------------------------------------ */

/* Digits that stand for a time: always this many, so that templates can be patched in place
 * (1e17 ns are three years since boot). */
#define NS_DIGITS 17

static inline void put_digits(char *at, uint64_t value, int digits)
{
    while (digits--) {
        at[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* One trade as the gateway sends it to a client. `pad` more characters follow the time in the id. */
static inline size_t client_message(char *out, size_t room, const char *symbol, uint64_t ns, int pad, uint64_t ms,
                                    uint64_t seq)
{
    char filler[1024];
    memset(filler, 'x', sizeof filler);
    if (pad)
        filler[0] = '-';
    return (size_t)snprintf(out, room,
                            "{\"stream\":\"mudrex.futures.trade.%s\",\"type\":\"update\",\"data\":[{\"id\":\"%017llu%.*s\","
                            "\"symbol\":\"%s\",\"price\":\"80682.00\",\"quantity\":\"0.015\",\"side\":\"buy\","
                            "\"time\":%llu,\"isBlockTrade\":false}],\"timestamp\":%llu,\"source\":\"mudrex\","
                            "\"seq\":%llu}",
                            symbol, (unsigned long long)ns, pad, filler, symbol, (unsigned long long)ms,
                            (unsigned long long)ms, (unsigned long long)seq);
}

/* The padding that brings a client's message of `symbol` to about `wanted` bytes. */
static inline int padding_for(const char *symbol, int wanted)
{
    char text[2048];
    int bare = (int)client_message(text, sizeof text, symbol, 0, 0, 1700000000000ULL, 100000);
    int pad = wanted - bare;
    return pad < 0 ? 0 : pad > 1000 ? 1000 : pad;
}

#endif
