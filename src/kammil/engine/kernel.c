/* What a blend says next, for some texts: its contexts hashed, looked up, its networks stepped, and all of it mixed.

   The same as `reference.py` says with NumPy and ONNX Runtime, which is what it is tested against and what runs where
   this was not built. A step for one text is some ninety small operations; there each costs a call. Here the time
   goes into the weights, one byte each, and into some hundred places of the tables, which are asked for all at once.

   Built several times, for processors that can more and more; the lowest build tells which of them a machine can run.
   Every row is worked out by itself, in the same order alone and among others; what is multiplied together with other
   rows are whole numbers, whose sums are exact.

   Letters: B texts, T ids each, L of them (the last) asked for, P = B * L positions, V vocabulary, M networks of H
   units, G a gate's width, D tables of K kinds of context, C kinds looked up in the text itself, E = D * K + C experts,
   n what is remembered of each text. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#if defined(__clang__)
#define NOT_COPIED __attribute__((noinline))
#else
#define NOT_COPIED __attribute__((noinline, noclone))
#endif
#ifndef KAMMIL_SOURCE
#define KAMMIL_SOURCE 0
#endif
#define CLUES 5
#define WINDOW 256 /* characters of the text itself that are looked back at */
#define PAD 0
#define BLOCK 4   /* texts whose products are made together */
#define COLUMNS 64 /* columns of a matrix that stand together */
#define STEPS 127  /* largest whole number of what is carried, above and below its zero of 128 */
#define SPARED (1 << 22) /* bytes kept for the next call at most */
#define COMMON 256 /* counts below it have their logarithm in a table */
#define LEVELS 2
#define ASKED (4 + 3 * LEVELS) /* numbers before the arrays of a call */

typedef struct {
    const int8_t *weights;  /* (columns / 64, inner / 4, 64, 4) */
    const float *scales;    /* (columns,) */
    const int32_t *offsets; /* (columns,): what the zero of 128 adds */
    int64_t inner, columns; /* a multiple of 4, and of 64 */
} Matrix;

typedef struct {
    Matrix recurrent;       /* H to 3H: reset, update, new */
    Matrix outward;         /* H to V + G */
    const uint16_t *gates; /* (V, 3H), in half precision: what an id adds to the recurrent product, bias included */
    const uint16_t *new;   /* (V, H): what it adds to the new state beside that */
} Network;

typedef struct {
    int64_t vocabulary, networks, hidden, gate, tables, kinds, columns, longest, window, larger, words;
    int64_t calls;            /* how often it was asked, about */
    const Network *network;
    const float *bias;        /* (V + M * G,) */
    const float *heard;       /* (E, CLUES, M * G) */
    const float *trust;       /* (E, 2, M * G) */
    const float *trust_bias;  /* (E, 2) */
    const float *logs;        /* (COMMON,): log(1 + 10 count) */
    const float *believed;    /* (K,): what is added for what was learnt, if a context was seen nowhere else */
    const uint64_t *numbers;  /* (longest + 1, V): row 0 for words, row i for the i-th last id */
    const uint64_t *salts;    /* (K,) */
    const int64_t *recipe;    /* (K,): an order, or a kind of word below 0 */
    const uint8_t *in_word;   /* (V,) */
    const int64_t *column;    /* (C,): which kinds are looked up in the text */
    const uint32_t *shifts, *firsts; /* (D * K,): of a key to its place in the index */
    const uint32_t *index;    /* where a bucket of keys begins */
    const uint32_t *keys;     /* of contexts */
    const uint32_t *starts;   /* where a context's followers begin */
    const uint16_t *lost;     /* occurrences whose followers were not kept */
    const uint16_t *ids, *counts; /* followers; 0 for a count of more than 16 bits, */
    const int64_t *larger_at, *larger_count; /* which stands here */
    /* What was needed for the last call, for the next one: whoever takes it says that it is taken. */
    void *spare;
    int32_t *spare_ids;
    float *spare_counts, *spare_own;
    int64_t spare_bytes, spare_followers, taken;
} Model;

/* Counts that were learnt: addresses of pairs (size,), each a context's key << 16 | the id that followed it, ascending, and
   of how often (size,), which may be below zero. */
typedef struct {
    int64_t pairs, counts, size;
} Level;

typedef struct {
    int64_t batch, time, last, length; /* B, T, L, n */
    Level levels[LEVELS];     /* what was learnt, laid over the first table: a pair may stand in several */
    const int64_t *ids;       /* (B, T) */
    const int64_t *recent;    /* (B, longest) */
    const uint64_t *words;    /* (B, 4) */
    const int64_t *line;      /* (B, n) */
    const float *hidden;      /* (B, M * H) */
    const uint32_t *marks;    /* (B, n, C) */
} Call;

/* What is asked, as one piece of memory: sizes and levels, then the arrays, one after the other. */
static Call opened(const Model *m, const char *message) {
    Call c;
    memcpy(&c, message, ASKED * sizeof(int64_t));
    c.ids = (const int64_t *)message + ASKED;
    c.recent = c.ids + c.batch * c.time;
    c.words = (const uint64_t *)(c.recent + c.batch * m->longest);
    c.line = (const int64_t *)(c.words + c.batch * 4);
    c.hidden = (const float *)(c.line + c.batch * c.length);
    c.marks = (const uint32_t *)(c.hidden + c.batch * m->networks * m->hidden);
    return c;
}

/* ---- hashes ------------------------------------------------------------------------------------------------------ */

static const uint64_t ONE = 0x9E3779B97F4A7C15u, TWO = 0xC2B2AE3D27D4EB4Fu;

static inline uint64_t stir(uint64_t x) {
    x = (x ^ x >> 33) * ONE;
    x = (x ^ x >> 33) * TWO;
    return x ^ x >> 29;
}

/* The word so far, the one before, the one before that, and whether a word is under way, after one more id. */
static void extend(const Model *m, int32_t id, uint64_t words[4]) {
    if (!m->words) return;
    const int inside = m->in_word[id];
    if (words[3] && !inside) words[2] = words[1], words[1] = words[0];
    words[0] = stir((inside ? words[0] : 0) + m->numbers[id]);
    words[3] = inside;
}

/* Keys (K,) of the contexts after the id at line[0], before which stand the others; sums: room, (longest + 1,). */
static void hash(const Model *m, const int32_t *line, const uint64_t words[4], uint64_t *sums, uint32_t *keys) {
    uint64_t total = 0;
    for (int64_t i = 1; i <= m->longest; i++) sums[i] = total += m->numbers[i * m->vocabulary + line[1 - i]];
    const uint64_t both = stir(words[0] + ONE) + words[1];
    for (int64_t k = 0; k < m->kinds; k++) {
        uint64_t x;
        switch (m->recipe[k]) {
            case -1: x = words[0]; break;
            case -2: x = both; break;
            case -3: x = stir(both) + words[2]; break;
            case -4: x = stir(words[0] + TWO) + words[2]; break;
            default: x = sums[m->recipe[k]];
        }
        keys[k] = stir(x + m->salts[k]) >> 32;
    }
}

/* ---- networks ---------------------------------------------------------------------------------------------------- */

static inline float exponential(float x) {
    x = fminf(fmaxf(x, -87.f), 88.f);
    const float n = rintf(x * 1.44269504f);
    const float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    const int32_t bits = ((int32_t)n + 127) << 23;
    float two;
    memcpy(&two, &bits, 4);
    return p * two;
}

static inline float sigmoid(float x) { return 1.f / (1.f + exponential(-x)); }

static void whole(const float *x, int64_t n, uint8_t *made) {
    for (int64_t i = 0; i < n; i++) {
        const float near = rintf(fminf(fmaxf(x[i], -1.f), 1.f) * STEPS);
        made[i] = (uint8_t)((int32_t)near + 128);
    }
}

/* Sums (R, columns) of whole numbers x (R, inner) by weights; the last columns come first if told to go `back`. */
static void product(const Matrix *w, int back, const uint8_t *x, int64_t rows, int32_t *sums) {
    const int64_t groups = w->inner / 4;
    for (int64_t i = 0; i < w->columns; i += COLUMNS) {
        const int64_t c = back ? w->columns - COLUMNS - i : i;
        const int8_t *at = w->weights + c * w->inner;
#if defined(__AVX512VNNI__)
#define TOGETHER(R)                                                                                         \
    __m512i sum[R][4];                                                                                      \
    for (int r = 0; r < R; r++)                                                                             \
        for (int j = 0; j < 4; j++) sum[r][j] = _mm512_setzero_si512();                                     \
    for (int64_t g = 0; g < groups; g++) {                                                                  \
        __m512i column[4];                                                                                  \
        for (int j = 0; j < 4; j++) column[j] = _mm512_loadu_si512(at + (g * COLUMNS + 16 * j) * 4);        \
        for (int r = 0; r < R; r++) {                                                                       \
            int32_t four;                                                                                   \
            memcpy(&four, x + r * w->inner + 4 * g, 4);                                                     \
            for (int j = 0; j < 4; j++)                                                                     \
                sum[r][j] = _mm512_dpbusd_epi32(sum[r][j], _mm512_set1_epi32(four), column[j]);             \
        }                                                                                                   \
    }                                                                                                       \
    for (int r = 0; r < R; r++)                                                                             \
        for (int j = 0; j < 4; j++) _mm512_storeu_si512(sums + r * w->columns + c + 16 * j, sum[r][j]);
        if (rows == BLOCK) {
            TOGETHER(BLOCK)
        } else {
            const uint8_t *all = x;
            int32_t *first = sums;
            for (int64_t row = 0; row < rows; row++, x += w->inner, sums += w->columns) {
                TOGETHER(1)
            }
            x = all, sums = first;
        }
#elif defined(__AVX2__)
        for (int64_t r = 0; r < rows; r++) {
            __m256i sum[8];
            for (int j = 0; j < 8; j++) sum[j] = _mm256_setzero_si256();
            for (int64_t g = 0; g < groups; g++) {
                int32_t four;
                memcpy(&four, x + r * w->inner + 4 * g, 4);
                const __m256i same = _mm256_set1_epi32(four);
                for (int j = 0; j < 8; j++) { /* 255 * 63 * 2 fits into 16 bits */
                    const __m256i column = _mm256_loadu_si256((const __m256i *)(at + (g * COLUMNS + 8 * j) * 4));
                    const __m256i pairs = _mm256_maddubs_epi16(same, column);
                    sum[j] = _mm256_add_epi32(sum[j], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
                }
            }
            for (int j = 0; j < 8; j++)
                _mm256_storeu_si256((__m256i *)(sums + r * w->columns + c + 8 * j), sum[j]);
        }
#else
        for (int64_t r = 0; r < rows; r++) {
            int32_t sum[COLUMNS] = {0};
            for (int64_t g = 0; g < groups; g++) {
                const uint8_t *four = x + r * w->inner + 4 * g;
                const int8_t *column = at + g * COLUMNS * 4;
                for (int j = 0; j < COLUMNS; j++)
                    sum[j] += four[0] * column[4 * j] + four[1] * column[4 * j + 1] + four[2] * column[4 * j + 2]
                              + four[3] * column[4 * j + 3];
            }
            memcpy(sums + r * w->columns + c, sum, sizeof sum);
        }
#endif
    }
}

/* Numbers in half precision as single ones; compilers do not find these instructions by themselves. */
static void widened(const uint16_t *x, int64_t n, float *made) {
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(made + i, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(x + i))));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(made + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(x + i))));
#endif
    for (; i < n; i++) { /* the same bits further up, with an exponent that is 112 too small */
        const uint32_t bits = (uint32_t)(x[i] & 0x7FFF) << 13;
        float size;
        memcpy(&size, &bits, 4);
        made[i] = (x[i] & 0x8000 ? -0x1p112f : 0x1p112f) * size;
    }
}

/* The next state of a GRU, (H,), in place, from the recurrent product and what the id adds.

   given: room, (4H,). */
static NOT_COPIED void turn(const Model *m, const Network *net, int64_t id, const int32_t *sums, float *given, float *state) {
    const int64_t h = m->hidden;
    widened(net->gates + id * 3 * h, 3 * h, given);
    widened(net->new + id * h, h, given + 3 * h);
    for (int64_t i = 0; i < 3 * h; i++)
        given[i] += net->recurrent.scales[i] * (float)(sums[i] - net->recurrent.offsets[i]);
    const float *update = given + h, *heard = given + 2 * h, *new = given + 3 * h;
    for (int64_t i = 0; i < h; i++) {
        const float fresh = 2.f * sigmoid(2.f * (new[i] + sigmoid(given[i]) * heard[i])) - 1.f;
        state[i] = fresh + sigmoid(update[i]) * (state[i] - fresh);
    }
}

/* ---- experts ----------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t expert, begin, width;
    float total, believed;
} Context;

typedef struct {
    Context *contexts;
    int64_t context, follower, room;
    int32_t *ids;
    float *counts, *own; /* how often each followed, and how often of that in what was learnt */
} Known;

static int grow(Known *k, int64_t more) {
    if (k->follower + more <= k->room) return 0;
    const int64_t room = 2 * (k->follower + more);
    int32_t *ids = realloc(k->ids, room * sizeof *ids);
    if (ids) k->ids = ids;
    float *counts = realloc(k->counts, room * sizeof *counts);
    if (counts) k->counts = counts;
    float *own = realloc(k->own, room * sizeof *own);
    if (own) k->own = own;
    if (!ids || !counts || !own) return -1;
    k->room = room;
    return 0;
}

static int64_t larger(const Model *m, int64_t at) {
    int64_t low = 0, high = m->larger;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (m->larger_at[middle] < at) low = middle + 1;
        else high = middle;
    }
    return low < m->larger && m->larger_at[low] == at ? m->larger_count[low] : 1;
}

/* A context whose followers from `begin` on are there; tells the gate of it. */
static void heard(const Model *m, Known *k, int64_t expert, int64_t begin, float lost, float believed, float *inner) {
    const int64_t width = k->follower - begin, wide = m->networks * m->gate;
    if (!width) return;
    float total = lost, top = 0;
    for (int64_t i = begin; i < k->follower; i++) {
        total += k->counts[i];
        top = fmaxf(top, k->counts[i]);
    }
    const float distinct = (float)width + lost;
    const float clue[CLUES] = {logf(1.f + total), logf(1.f + distinct), top / total, 1.f, distinct == 1.f};
    const float *weights = m->heard + expert * CLUES * wide;
    for (int64_t g = 0; g < wide; g++)
        inner[g] += clue[0] * weights[g] + clue[1] * weights[wide + g] + clue[2] * weights[2 * wide + g]
                    + clue[3] * weights[3 * wide + g] + clue[4] * weights[4 * wide + g];
    k->contexts[k->context++] = (Context){expert, begin, width, total, believed};
}

/* Where the first of some ascending numbers stands that is not below this one; where they end if all are. */
static int64_t lowest(const uint64_t *among, int64_t size, uint64_t one) {
    const uint64_t *at = among;
    while (size > 1) { /* without a branch that would be guessed */
        const int64_t half = size / 2;
        at += at[half - 1] < one ? half : 0;
        size -= half;
    }
    return at - among + (size && *at < one);
}

/* Adds to the followers from `first` on what was learnt of a context; `where` is room for (V,), and zero. Returns
   whether something was, or -1 without memory. */
static int learnt(const Model *m, const Call *c, uint32_t key, int64_t first, int32_t *where, Known *k) {
    const uint64_t from = (uint64_t)key << 16;
    int64_t begin[LEVELS], end[LEVELS], more = 0;
    for (int64_t l = 0; l < LEVELS; l++) {
        const uint64_t *pairs = (const uint64_t *)(uintptr_t)c->levels[l].pairs;
        const int64_t size = c->levels[l].size;
        begin[l] = end[l] = lowest(pairs, size, from);
        while (end[l] < size && pairs[end[l]] >> 16 == key) end[l]++;
        more += end[l] - begin[l];
    }
    if (!more) return 0;
    if (grow(k, more)) return -1;
    for (int64_t j = first; j < k->follower; j++) where[k->ids[j]] = (int32_t)(j - first) + 1, k->own[j] = 0;
    for (int64_t l = 0; l < LEVELS; l++) {
        const uint64_t *pairs = (const uint64_t *)(uintptr_t)c->levels[l].pairs;
        const int32_t *counts = (const int32_t *)(uintptr_t)c->levels[l].counts;
        for (int64_t i = begin[l]; i < end[l]; i++) {
            const int32_t id = pairs[i] & 0xFFFF;
            if (id >= m->vocabulary) continue;
            if (!where[id]) {
                k->ids[k->follower] = id, k->own[k->follower] = 0, k->counts[k->follower++] = 0;
                where[id] = (int32_t)(k->follower - first);
            }
            k->counts[first + where[id] - 1] += (float)counts[i];
            k->own[first + where[id] - 1] += (float)counts[i];
        }
    }
    int64_t kept = first;
    for (int64_t j = first; j < k->follower; j++) {
        where[k->ids[j]] = 0;
        if (k->counts[j] > 0) k->ids[kept] = k->ids[j], k->own[kept] = k->own[j], k->counts[kept++] = k->counts[j];
    }
    k->follower = kept;
    return 1;
}

/* What the tables, and what was learnt, say of a position; `places` is room for (3, D * K). */
static int tables(const Model *m, const Call *c, const uint32_t *keys, uint32_t *places, int32_t *where, Known *k,
                  float *inner) {
    const int64_t n = m->tables * m->kinds;
    int some = 0;
    for (int64_t l = 0; l < LEVELS; l++) some |= c->levels[l].size > 0;
    uint32_t *at = places, *begin = places + n, *width = places + 2 * n;
    for (int64_t i = 0; i < n; i++) {
        at[i] = (keys[i % m->kinds] >> m->shifts[i]) + m->firsts[i];
        __builtin_prefetch(m->index + at[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        at[i] = m->index[at[i]];
        __builtin_prefetch(m->keys + at[i]);
        __builtin_prefetch(m->keys + at[i] + m->window - 1);
    }
    for (int64_t i = 0; i < n; i++) {
        const uint32_t *among = m->keys + at[i], key = keys[i % m->kinds];
        int64_t j = 0;
        while (j < m->window && among[j] != key) j++;
        width[i] = j < m->window;
        at[i] += width[i] ? j : 0;
        if (!width[i]) continue;
        __builtin_prefetch(m->starts + at[i]);
        __builtin_prefetch(m->lost + at[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        if (!width[i]) continue;
        begin[i] = m->starts[at[i]];
        width[i] = m->starts[at[i] + 1] - begin[i];
        __builtin_prefetch(m->ids + begin[i]);
        __builtin_prefetch(m->counts + begin[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t first = k->follower;
        if (grow(k, width[i])) return -1;
        for (uint32_t j = 0; j < width[i]; j++) {
            const int64_t from = (int64_t)begin[i] + j;
            const int64_t count = m->counts[from] ? m->counts[from] : larger(m, from);
            k->ids[k->follower] = m->ids[from];
            k->counts[k->follower++] = (float)count;
        }
        const float lost = width[i] ? m->lost[at[i]] : 0;
        const int taught = some && i < m->kinds ? learnt(m, c, keys[i], first, where, k) : 0;
        if (taught < 0) return -1;
        heard(m, k, i, first, lost, taught ? m->believed[i] : 0, inner);
    }
    return 0;
}

/* What followed the same contexts earlier in the text: `at` is a position in marks (at + 1, C) and line. */
static int itself(const Model *m, int64_t at, const uint32_t *marks, const int32_t *line, Known *k, float *inner) {
    const int64_t n = m->columns, from = at > WINDOW ? at - WINDOW : 0;
    const uint32_t *now = marks + at * n;
    if (!n || line[at] == PAD) return 0;
    for (int64_t kind = 0; kind < n; kind++) {
        const int64_t first = k->follower;
        if (grow(k, at - from)) return -1;
        for (int64_t j = from; j < at; j++) {
            if (marks[j * n + kind] != now[kind] || line[j] == PAD) continue;
            const int32_t id = line[j + 1];
            int64_t i = first;
            while (i < k->follower && k->ids[i] != id) i++;
            if (i == k->follower) k->ids[k->follower] = id, k->counts[k->follower++] = 0;
            k->counts[i] += 1.f;
        }
        heard(m, k, m->tables * m->kinds + kind, first, 0, 0, inner);
    }
    return 0;
}

/* Adds what the experts say to the scores (V,), as much as the gate believes them. */
static void mix(const Model *m, const Known *k, const float *inner, float *scores, float *parts) {
    const int64_t wide = m->networks * m->gate, v = m->vocabulary;
    if (parts) memcpy(parts, scores, v * sizeof *scores);
    for (int64_t i = 0; i < k->context; i++) {
        const Context context = k->contexts[i];
        const float *often = m->trust + context.expert * 2 * wide, *share = often + wide;
        float by_count = 0, by_share = 0;
        for (int64_t g = 0; g < wide; g++) by_count += inner[g] * often[g], by_share += inner[g] * share[g];
        by_count += m->trust_bias[2 * context.expert];
        by_share = (by_share + m->trust_bias[2 * context.expert + 1]) / context.total;
        for (int64_t j = context.begin; j < context.begin + context.width; j++) {
            const float count = k->counts[j];
            const float log = count < COMMON ? m->logs[(int)count] : logf(1.f + 10.f * count);
            float added = by_count * log + by_share * count;
            if (context.believed > 0) added += context.believed * k->own[j] / context.total;
            scores[k->ids[j]] += added;
            if (parts) parts[(1 + context.expert) * v + k->ids[j]] = added;
        }
    }
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* Room for what is in between, in one piece. */
typedef struct {
    void *all;
    uint8_t *now, *kept; /* states of a network in whole numbers: (B, inner), (P, inner) */
    int32_t *sums;       /* of a product, (BLOCK, columns) */
    float *given;        /* (4H,) */
    float *asked;        /* what the gate hears, (P, M * G) */
    float *said;         /* by one network, (V + G,) */
    float *scores, *inner; /* of one position, (V,) and (M * G,) */
    int32_t *recent;     /* of one text, (longest + T,) */
    int32_t *line;       /* (B, n + T) */
    uint32_t *marks;     /* (B, n + T, C) */
    uint32_t *here;      /* keys of one position, (K,) */
    uint32_t *keys;      /* (P, K) */
    uint64_t *orders;    /* (longest + 1,) */
    uint32_t *places;    /* (3, D * K) */
    int32_t *where;      /* (V,), zero */
    float *shares;       /* of a text that is drawn, (V,) */
    float *states;       /* its networks', (M * H,) */
    double *row;         /* (V,) */
    Known known;
    int64_t bytes;
    int lent;            /* it is the model's */
} Room;

/* Every array begins where the widest registers like it to. */
static int64_t padded(int64_t bytes) { return (bytes + 63) & ~(int64_t)63; }

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

/* Room in one piece, that of the call before if nobody else has it: what comes and goes at every step leaves holes. */
static int reserved(Room *room, Model *m, int64_t batch, int64_t time, int64_t length, int64_t positions) {
    const int64_t inner = m->network[0].recurrent.inner, all = length + time, n = m->tables * m->kinds;
    const int64_t columns = largest(m->network[0].recurrent.columns, m->network[0].outward.columns);
    const struct {
        void *into;
        int64_t bytes;
    } parts[] = {
        {&room->now, batch * inner},
        {&room->kept, positions * inner},
        {&room->sums, 4 * BLOCK * columns},
        {&room->given, 4 * 4 * m->hidden},
        {&room->asked, 4 * positions * m->networks * m->gate},
        {&room->said, 4 * (m->vocabulary + m->gate)},
        {&room->scores, 4 * m->vocabulary},
        {&room->inner, 4 * m->networks * m->gate},
        {&room->recent, 4 * (m->longest + time)},
        {&room->line, 4 * batch * all},
        {&room->marks, 4 * batch * all * m->columns},
        {&room->here, 4 * m->kinds},
        {&room->keys, 4 * positions * m->kinds},
        {&room->orders, 8 * (m->longest + 1)},
        {&room->places, 4 * 3 * n},
        {&room->where, 4 * m->vocabulary},
        {&room->known.contexts, (int64_t)sizeof(Context) * (n + m->columns)},
        {&room->shares, 4 * m->vocabulary},
        {&room->states, 4 * m->networks * m->hidden},
        {&room->row, 8 * m->vocabulary},
    };
    int64_t bytes = 64;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) bytes += padded(parts[i].bytes);
    room->known = (Known){0};
    room->bytes = bytes;
    room->lent = !__atomic_exchange_n(&m->taken, 1, __ATOMIC_ACQUIRE);
    if (room->lent && m->spare_bytes >= bytes) {
        room->all = m->spare;
        room->bytes = m->spare_bytes;
    } else {
        if (room->lent) { /* with something over, since texts grow */
            free(m->spare);
            m->spare = NULL, m->spare_bytes = 0;
            room->bytes += bytes / 2;
        }
        room->all = malloc(room->bytes);
    }
    if (room->lent) {
        room->known.ids = m->spare_ids;
        room->known.counts = m->spare_counts;
        room->known.own = m->spare_own;
        room->known.room = m->spare_followers;
    }
    if (!room->all) {
        if (room->lent) __atomic_store_n(&m->taken, 0, __ATOMIC_RELEASE);
        return -1;
    }
    char *next = (char *)(intptr_t)padded((int64_t)(intptr_t)room->all);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memcpy(parts[i].into, &next, sizeof next);
        next += padded(parts[i].bytes);
    }
    memset(room->now, 128, batch * inner); /* what stands behind the units of a network is zero */
    memset(room->kept, 128, positions * inner);
    memset(room->where, 0, 4 * m->vocabulary);
    return 0;
}

static void given_back(Model *m, Room *room) {
    const int much = 12 * room->known.room > SPARED;
    if (!room->lent || much) {
        free(room->known.ids);
        free(room->known.counts);
        free(room->known.own);
        room->known = (Known){0};
    }
    if (!room->lent || room->bytes > SPARED) {
        free(room->all);
        room->all = NULL;
        room->bytes = 0;
    }
    if (!room->lent) return;
    m->spare = room->all;
    m->spare_bytes = room->bytes;
    m->spare_ids = room->known.ids;
    m->spare_counts = room->known.counts;
    m->spare_own = room->known.own;
    m->spare_followers = room->known.room;
    __atomic_store_n(&m->taken, 0, __ATOMIC_RELEASE);
}

/* Frees what was kept for the next call: there is none. */
void kammil_close(Model *m) {
    free(m->spare);
    free(m->spare_ids);
    free(m->spare_counts);
    free(m->spare_own);
    m->spare = NULL, m->spare_ids = NULL, m->spare_counts = m->spare_own = NULL;
    m->spare_bytes = m->spare_followers = 0;
}

/* Ids of a text, with what was read before: `recent` and its line; 0 if one of them is not in the vocabulary. */
static int lines(const Model *m, const Call *c, int64_t b, int32_t *recent, int32_t *line) {
    const int64_t v = m->vocabulary;
    for (int64_t i = 0; i < m->longest; i++) {
        const int64_t id = c->recent[b * m->longest + i];
        if (id < 0 || id >= v) return 0;
        recent[i] = (int32_t)id;
    }
    for (int64_t i = 0; i < c->time; i++) {
        const int64_t id = c->ids[b * c->time + i];
        if (id < 0 || id >= v) return 0;
        recent[m->longest + i] = line[c->length + i] = (int32_t)id;
    }
    for (int64_t i = 0; i < c->length; i++) {
        const int64_t id = c->line[b * c->length + i];
        if (id < 0 || id >= v) return 0;
        line[i] = (int32_t)id;
    }
    return 1;
}

/* y += x, by itself: multiplied and added in one go, a sum of two would depend on which comes first. */
static NOT_COPIED void add(const float *x, int64_t n, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

/* The next states of a network, in place, and what is read from those asked for, added to scores (P, V) and to what its
   gate hears. Without ids, T = 0, what the states before them say. */
static void network(const Model *m, const Call *c, int64_t i, int back, float *states, Room *room, float *scores) {
    const Network *net = m->network + i;
    const int64_t h = m->hidden, networks = m->networks, v = m->vocabulary, first = c->time - c->last;
    const int64_t inner = net->recurrent.inner, positions = c->batch * c->last;
    int32_t *sums = room->sums;
    for (int64_t b = 0; b < c->batch; b++) whole(states + (b * networks + i) * h, h, room->now + b * inner);
    for (int64_t t = 0; t < c->time; t++)
        for (int64_t b = 0; b < c->batch; b += BLOCK) {
            const int64_t rows = c->batch - b < BLOCK ? c->batch - b : BLOCK;
            product(&net->recurrent, back, room->now + b * inner, rows, sums);
            for (int64_t r = 0; r < rows; r++) {
                float *state = states + ((b + r) * networks + i) * h;
                uint8_t *small = room->now + (b + r) * inner;
                turn(m, net, c->ids[(b + r) * c->time + t], sums + r * net->recurrent.columns, room->given, state);
                whole(state, h, small);
                if (t >= first) memcpy(room->kept + ((b + r) * c->last + t - first) * inner, small, h);
            }
        }
    if (!c->time) memcpy(room->kept, room->now, positions * inner);
    const Matrix *out = &net->outward;
    for (int64_t p = 0; p < positions; p += BLOCK) {
        const int64_t rows = positions - p < BLOCK ? positions - p : BLOCK;
        product(out, back, room->kept + p * inner, rows, sums);
        for (int64_t r = 0; r < rows; r++) {
            float *score = scores + (p + r) * v, *ask = room->asked + ((p + r) * networks + i) * m->gate;
            const int32_t *sum = sums + r * out->columns;
            for (int64_t j = 0; j < v + m->gate; j++)
                room->said[j] = out->scales[j] * (float)(sum[j] - out->offsets[j]);
            add(room->said, v, score);
            add(room->said + v, m->gate, ask);
        }
    }
}

/* All networks, whose states change in place: scores (P, V) and `asked` are what they say, bias included.

   The weights of two large networks are a little more than a near cache holds. Who goes through them from the first to
   the last every time finds nothing left of them; who goes to and fro finds most. */
static void step(Model *m, const Call *c, float *states, Room *room, float *scores) {
    const int64_t v = m->vocabulary, wide = m->networks * m->gate, positions = c->batch * c->last;
    const int back = __atomic_fetch_add(&m->calls, 1, __ATOMIC_RELAXED) & 1, swapped = back && m->networks <= 2; /* of two the sum is the same either way */
    if (positions) memset(scores, 0, 4 * positions * v);
    memset(room->asked, 0, 4 * positions * wide);
    for (int64_t i = 0; i < m->networks; i++)
        network(m, c, swapped ? m->networks - 1 - i : i, back, states, room, scores);
    for (int64_t p = 0; p < positions; p++) {
        for (int64_t i = 0; i < v; i++) scores[p * v + i] += m->bias[i];
        for (int64_t g = 0; g < wide; g++) room->asked[p * wide + g] += m->bias[v + g];
    }
}

/* Scores (V,) of a position become log-probabilities: what the experts know is added, as far as the gate believes it.

   at: where the position is in marks and line of its text. Sums in single precision depend on their order, and that on
   where numbers stand; so the work is done in one place, by one piece of code. */
static NOT_COPIED int judged(const Model *m, const Call *c, int64_t p, int64_t at, const uint32_t *marks,
                             const int32_t *line, Room *room, float *shares, float *parts) {
    const int64_t v = m->vocabulary, wide = m->networks * m->gate;
    float *scores = room->scores, *inner = room->inner;
    Known *known = &room->known;
    memcpy(scores, shares, 4 * v);
    memcpy(inner, room->asked + p * wide, 4 * wide);
    known->context = known->follower = 0;
    if (tables(m, c, room->keys + p * m->kinds, room->places, room->where, known, inner)) return -1;
    if (itself(m, at, marks, line, known, inner)) return -1;
    for (int64_t g = 0; g < wide; g++) inner[g] = fmaxf(inner[g], 0.f);
    mix(m, known, inner, scores, parts);
    float top = scores[0], sum = 0;
    for (int64_t i = 1; i < v; i++) top = fmaxf(top, scores[i]);
    for (int64_t i = 0; i < v; i++) sum += exponential(scores[i] - top);
    top += logf(sum);
    for (int64_t i = 0; i < v; i++) shares[i] = scores[i] - top;
    return 0;
}

/* Contexts of all ids of a text: its marks, and keys where they are asked for; `recent` and line are complete. */
static void contexts(const Model *m, const Call *c, int64_t b, uint64_t words[4], Room *room) {
    const int64_t all = c->length + c->time, n = m->columns, first = c->time - c->last;
    uint32_t *marks = room->marks + b * all * n;
    memcpy(marks, c->marks + b * c->length * n, 4 * c->length * n);
    memcpy(words, c->words + 4 * b, 4 * sizeof *words);
    for (int64_t t = 0; t < c->time; t++) {
        const int32_t *line = room->recent + m->longest + t;
        extend(m, *line, words);
        hash(m, line, words, room->orders, room->here);
        for (int64_t k = 0; k < n; k++) marks[(c->length + t) * n + k] = room->here[m->column[k]];
        if (t >= first) memcpy(room->keys + (b * c->last + t - first) * m->kinds, room->here, 4 * m->kinds);
    }
}

/* A state, as one piece of memory: recent, words, line, hidden, marks, of at most the last WINDOW ids of each text. */
typedef struct {
    int64_t *recent;
    uint64_t *words;
    int64_t *line;
    float *hidden;
    uint32_t *marks;
    int64_t rest;
} State;

static State written(const Model *m, char *into, int64_t batch, int64_t all) {
    State s = {.rest = all < WINDOW ? all : WINDOW};
    s.recent = (int64_t *)into;
    s.words = (uint64_t *)(s.recent + batch * m->longest);
    s.line = (int64_t *)(s.words + batch * 4);
    s.hidden = (float *)(s.line + batch * s.rest);
    s.marks = (uint32_t *)(s.hidden + batch * m->networks * m->hidden);
    return s;
}

/* All of it but the networks' states, of a text that all these ids were read of; `time` of them since. */
static void keep(const Model *m, const State *s, int64_t b, int64_t all, int64_t time, const uint64_t words[4],
                 const int32_t *recent, const int32_t *line, const uint32_t *marks) {
    const int64_t rest = s->rest, n = m->columns;
    memcpy(s->words + 4 * b, words, 4 * sizeof *words);
    memcpy(s->marks + b * rest * n, marks + (all - rest) * n, 4 * rest * n);
    for (int64_t i = 0; i < rest; i++) s->line[b * rest + i] = line[all - rest + i];
    for (int64_t i = 0; i < m->longest; i++) s->recent[b * m->longest + i] = recent[time + i];
}

/* Reads ids: log-probabilities at the last positions (P, V), and the state after them. Returns 0, or -1 without memory,
   or -2 for an id that there is not.

   parts: (P, 1 + E, V) of zeros for what each expert adds to the scores, or nothing. */
int kammil_read(Model *m, const char *message, char *after, float *shares, float *parts) {
    const Call call = opened(m, message), *c = &call;
    const int64_t all = c->length + c->time, positions = c->batch * c->last, n = m->columns;
    const int64_t experts = m->tables * m->kinds + n;
    const State made = written(m, after, c->batch, all);
    Room room;
    if (reserved(&room, m, c->batch, c->time, c->length, positions)) return -1;
    int failed = 0;
    for (int64_t b = 0; b < c->batch && !failed; b++) {
        uint64_t words[4];
        if (lines(m, c, b, room.recent, room.line + b * all)) {
            contexts(m, c, b, words, &room);
            keep(m, &made, b, all, c->time, words, room.recent, room.line + b * all, room.marks + b * all * n);
        } else failed = -2;
    }
    if (!failed && c->batch) {
        memcpy(made.hidden, c->hidden, 4 * c->batch * m->networks * m->hidden);
        step(m, c, made.hidden, &room, shares);
    }
    for (int64_t p = 0; p < positions && !failed; p++) {
        const int64_t b = p / c->last, at = all - c->last + p % c->last;
        failed = judged(m, c, p, at, room.marks + b * all * n, room.line + b * all, &room,
                        shares + p * m->vocabulary, parts ? parts + p * (1 + experts) * m->vocabulary : NULL);
    }
    given_back(m, &room);
    return failed;
}

/* The id drawn from log-probabilities (V,): the first one where the shares summed up exceed this part of all.

   row: room, (V,). */
static int64_t drawn(const Model *m, const float *shares, const uint8_t *refused, double temperature, double chance,
                     double *row) {
    const int64_t v = m->vocabulary;
    double top = -1e300, total = 0;
    int64_t best = 0;
    for (int64_t i = 0; i < v; i++)
        if (!refused[i] && shares[i] > top) top = shares[i], best = i;
    if (temperature == 0) return best;
    const double below = temperature == 1 && top > -600 ? 0 : top; /* as small as that, nothing is told apart from 0 */
    for (int64_t i = 0; i < v; i++) row[i] = total += refused[i] ? 0 : exp(fmax((shares[i] - below) / temperature, -1e3));
    for (int64_t i = 0; i < v; i++)
        if (row[i] > chance * total) return i;
    return v - 1;
}

/* Draws n ids after the state, each read before the next is drawn; stops after the id `end`.

   The message is of one text that something was read of, without ids, T = 0. ids, paid: (n,), what was drawn, and its
   log-probabilities. Returns how many it drew, or as `kammil_read` does. */
int kammil_draw(Model *m, const char *message, int64_t n, const double *chances, double temperature,
                const uint8_t *refused, int64_t end, char *after, int64_t *ids, float *paid) {
    Call call = opened(m, message), *c = &call;
    const int64_t length = c->length, columns = m->columns;
    Room room;
    if (reserved(&room, m, 1, n, length, 1)) return -1;
    float *shares = room.shares, *states = room.states;
    double *row = room.row;
    int64_t count = 0, failed = 0;
    if ((columns && !length) || !lines(m, c, 0, room.recent, room.line)) failed = -2;
    if (!failed) {
        uint64_t words[4];
        int64_t id = 0;
        contexts(m, c, 0, words, &room);
        memcpy(states, c->hidden, 4 * m->networks * m->hidden);
        hash(m, room.recent + m->longest - 1, words, room.orders, room.keys);
        c->ids = &id;
        while (!failed && count < n) {
            step(m, c, states, &room, shares);
            failed = judged(m, c, 0, length + count - 1, room.marks, room.line, &room, shares, NULL);
            if (failed) break;
            ids[count] = id = drawn(m, shares, refused, temperature, chances[count], row);
            paid[count] = shares[id];
            room.recent[m->longest + count] = room.line[length + count] = (int32_t)id;
            extend(m, (int32_t)id, words);
            hash(m, room.recent + m->longest + count, words, room.orders, room.keys);
            for (int64_t k = 0; k < columns; k++)
                room.marks[(length + count) * columns + k] = room.keys[m->column[k]];
            c->time = 1;
            count++;
            if (id == end) break;
        }
        const State made = written(m, after, 1, length + count);
        keep(m, &made, 0, length + count, count, words, room.recent, room.line, room.marks);
        c->last = 0;
        if (!failed) step(m, c, states, &room, shares);
        memcpy(made.hidden, states, 4 * m->networks * m->hidden);
    }
    given_back(m, &room);
    return failed ? (int)failed : (int)count;
}

/* The best build that this machine can run; see `hatch_build.py` for what each needs. */
int kammil_level(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    __builtin_cpu_init();
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_F16C)) return 0;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        return 2;
    return 1;
#else
    return 0;
#endif
}

/* Of what text it was made: whoever loads it can see that both speak of the same. */
uint32_t kammil_source(void) { return KAMMIL_SOURCE; }
