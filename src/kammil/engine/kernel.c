/* Next-character log-probabilities of a blend for a batch of texts: hash contexts, look up counts, step the GRUs, mix.

   `reference.py` computes the same in Python. It is what this file is tested against, and what runs where no build of
   this file can. A step of one text is some ninety small operations, each of which costs a call there. Here the time
   goes into reading the weights, one byte each, and into some hundred places of the tables, which are prefetched
   together.

   The file is compiled several times, each build for processors with more instructions than the one before. The first
   build runs on all of them, and `kammil_best_level` tells which of the builds this processor can run.

   A row has the same bits alone and in a batch, and on every processor: it is computed by itself, each operation of
   single precision is rounded by itself (-ffp-contract=off), and sums have an order of their own (see Lanes). Only
   products of integers are computed for several rows together, and sums of integers are exact in any order.

   Letters: B texts, T new ids of each, L of them (the last) whose log-probabilities are wanted, P = B * L positions,
   V vocabulary, M networks of H units, G width of a network's gate, D tables of K context types, C context types that
   are looked up in the text cache, E = D * K + C experts, N ids of each text that the cache remembers, W context types
   of the writer's layer. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#elif defined(__wasm_simd128__)
#include <wasm_simd128.h>
#endif

/* Which instructions multiply integers. Each is tested against the plain loop, which KAMMIL_PLAIN chooses. */
#if defined(KAMMIL_PLAIN)
#elif defined(__AVX512VNNI__)
#define KERNEL_AVX512
#elif defined(__AVX2__)
#define KERNEL_AVX2
#elif defined(__SSSE3__)
#define KERNEL_SSSE3
#elif defined(__SSE2__)
#define KERNEL_SSE2
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define KERNEL_NEON
#elif defined(__wasm_simd128__)
#define KERNEL_WASM
#endif

#ifndef KAMMIL_SOURCE
#define KAMMIL_SOURCE 0
#endif
#define GATE_FEATURES 5           /* what a gate is told of an expert's match; see add_gate_features */
#define SCORE_FEATURES 2          /* what an expert's scores are made of: log(1 + 10 count), and count / total */
#define WINDOW 256                /* ids of the text that the cache looks back at */
#define PAD 0                     /* the id of padding */
#define BOS 2                     /* the id before a text */
#define WORD_STATE 6              /* numbers that word contexts are made of; see update_words */
#define STATE_ZERO 128            /* the byte of a state of 0 */
#define STATE_MAX 127             /* the byte of a state of 1 is STATE_ZERO + STATE_MAX */
#define WEIGHT_MAX 63             /* largest weight: 255 * WEIGHT_MAX * 2, a pair of products, fits into 16 bits */
#define LANES 16                  /* parts of a sum; see Lanes */
#define ROW_BLOCK 4               /* rows that are multiplied together */
#define COLUMN_BLOCK 64           /* outputs of a matrix whose weights are stored together */
#define INPUT_GROUP 4             /* inputs of an output whose weights are stored together */
#define LOG_TABLE_SIZE 256        /* smaller counts have their logarithm in a table */
#define ADAPTIVE_TABLES 5         /* tables of what was learnt at run time */
#define ID_BITS 16                /* of a pair, key << ID_BITS | id */
#define MAX_KEPT_BYTES (1 << 22)  /* scratch memory kept between calls */
#define QUERY_HEADER 13           /* numbers before the arrays of a search */
#define MESSAGE_HEADER (5 + 3 * ADAPTIVE_TABLES) /* numbers before the arrays of a request */
_Static_assert(2 * 255 * WEIGHT_MAX <= INT16_MAX, "pairs of products are added in 16 bits");

/* A matrix of 8-bit weights. Outputs and inputs are padded with zeros to whole blocks and groups. */
typedef struct {
    const int8_t *weights;       /* (outputs / COLUMN_BLOCK, inputs / INPUT_GROUP, COLUMN_BLOCK, INPUT_GROUP) */
    const float *scales;         /* (outputs,): what 1 in a sum of products is worth */
    const int32_t *zero_offsets; /* (outputs,): what STATE_ZERO in all inputs adds to a sum */
    int64_t inputs, outputs;
} QuantizedMatrix;

/* One GRU, PyTorch's variant: the reset gate is applied after the recurrent product. Gates: reset, update, new. */
typedef struct {
    QuantizedMatrix recurrent;   /* H to 3H */
    QuantizedMatrix output;      /* H to V + G */
    const uint16_t *input_gates; /* (V, 3H), half precision: what an id adds to the recurrent product, bias included */
    const uint16_t *input_new;   /* (V, H), half precision: what an id adds to the new state outside the reset gate */
} GRUWeights;

typedef struct {
    int64_t vocabulary;          /* V */
    int64_t networks;            /* M */
    int64_t hidden;              /* H */
    int64_t gate;                /* G */
    int64_t tables;              /* D */
    int64_t context_types;       /* K */
    int64_t cache_types;         /* C */
    int64_t max_order;           /* ids in the longest context of a fixed length */
    int64_t hashed_types;        /* K' >= K context types that are hashed, those of the tables first */
    int64_t bucket_size;         /* keys in the fullest bucket of the tables */
    int64_t large_size;          /* counts of more than 16 bits */
    int64_t uses_words;          /* whether some context type is made of words */
    int64_t layer_types;         /* W */
    int64_t steps;               /* about how many steps there were */
    const GRUWeights *gru;       /* (M,) */
    const float *bias;           /* (V + M * G,): of the logits, and of the gates' hidden layers */
    const float *feature_weights; /* (E, GATE_FEATURES, M * G): from features to the gates' hidden layers */
    const float *score_weights;  /* (E, SCORE_FEATURES, M * G): from the gates' hidden layers to weights of scores */
    const float *score_bias;     /* (E, SCORE_FEATURES) */
    const float *log_table;      /* (LOG_TABLE_SIZE,): log(1 + 10 count) */
    const uint64_t *id_hashes;   /* (max_order + 1, V): row 0 of ids in words, row i of the i-th last id */
    const uint64_t *salts;       /* (K',): what tells context types apart */
    const int64_t *context_spec; /* (K',): how many ids a context has, or below 0 a ContextOfWords */
    const uint8_t *in_word;      /* (V,): whether an id belongs to words */
    const int64_t *cache_columns; /* (C,): which context types the cache is asked for */
    const int64_t *layer_columns; /* (W,): which context types the writer's layer is made of */
    const float *layer_weights;  /* (W,): counts that the layer below is worth */
    const float *trust;          /* (2,): in the layer at the beginning, and what is shared where it says something */
    const uint32_t *bucket_shifts, *bucket_offsets; /* (D * K,): bucket = (key >> shift) + offset */
    const uint32_t *bucket_begins; /* (buckets,): where the keys of a bucket begin */
    const uint32_t *table_keys;  /* (contexts,): sorted in each bucket */
    const uint32_t *follower_begins; /* (contexts + 1,): where the followers of a context begin */
    const uint16_t *pruned;      /* (contexts,): occurrences whose followers were not kept */
    const uint16_t *follower_ids; /* (followers,) */
    const uint16_t *follower_counts; /* (followers,): 0 for a count of more than 16 bits or of 1 that stands below */
    const int64_t *large_positions; /* (large_size,): ascending, among the followers */
    const int64_t *large_counts; /* (large_size,) */
    /* Scratch memory kept between calls; `lock` says that a call is using it. */
    void *kept_memory;           /* kept_bytes */
    int32_t *kept_ids;           /* (kept_capacity,): as Matches.ids, */
    float *kept_counts;          /* .counts */
    int64_t kept_bytes, kept_capacity, lock;
} Model;

/* Counts learnt at run time. Addresses are numbers, since the whole struct arrives as numbers. */
typedef struct {
    int64_t pairs;  /* address of uint64_t (size,): key << ID_BITS | id, ascending */
    int64_t counts; /* address of int32_t (size,): how often the id followed the context; may be below 0 */
    int64_t size;
} SortedCounts;

/* What is asked for: new ids of some texts, and the state of these texts. */
typedef struct {
    int64_t batch;               /* B */
    int64_t time;                /* T */
    int64_t last;                /* L */
    int64_t length;              /* N */
    int64_t trusts;              /* 1 + V, or 0 in the state of texts of which nothing was read since something was learnt */
    SortedCounts adaptive[ADAPTIVE_TABLES]; /* added to the counts of the first table; a pair may be in both */
    const int64_t *input_ids;    /* (B, T) */
    const int64_t *recent_ids;   /* (B, max_order): the ids before */
    const uint64_t *word_state;  /* (B, WORD_STATE) */
    const int64_t *cached_ids;   /* (B, N) */
    const float *hidden;         /* (B, M * H) */
    const uint32_t *cached_keys; /* (B, N, C): the contexts that end with each of the cached ids */
    const float *trust;          /* (B, trusts): in the writer's layer, and after each id that may come next */
} Request;

/* A request arrives in one piece of memory: sizes and adaptive counts, then its arrays in the order of the struct. */
static Request parse_request(const Model *m, const char *message) {
    Request q;
    memcpy(&q, message, MESSAGE_HEADER * sizeof(int64_t));
    q.input_ids = (const int64_t *)message + MESSAGE_HEADER;
    q.recent_ids = q.input_ids + q.batch * q.time;
    q.word_state = (const uint64_t *)(q.recent_ids + q.batch * m->max_order);
    q.cached_ids = (const int64_t *)(q.word_state + q.batch * WORD_STATE);
    q.hidden = (const float *)(q.cached_ids + q.batch * q.length);
    q.cached_keys = (const uint32_t *)(q.hidden + q.batch * m->networks * m->hidden);
    q.trust = (const float *)(q.cached_keys + q.batch * q.length * m->cache_types);
    return q;
}

/* Whether something was learnt at run time. */
static int has_learnt(const Request *q) {
    int any = 0;
    for (int64_t t = 0; t < ADAPTIVE_TABLES; t++) any |= q->adaptive[t].size > 0;
    return any;
}

/* Numbers of trust in a state after a request: 0 where the writer's layer is empty. */
static int64_t trusts_after(const Model *m, const Request *q) {
    return m->layer_types && has_learnt(q) ? 1 + m->vocabulary : 0;
}

/* ---- hashes of contexts ------------------------------------------------------------------------------------------ */

/* Contexts that are made of the hashes of words: the word so far, and words before it. */
typedef enum {
    CONTEXT_W = -1,
    CONTEXT_W1 = -2,  /* and the word before */
    CONTEXT_W2 = -3,  /* and the two words before */
    CONTEXT_W1S = -4, /* and the word before the one before, whatever stands between */
    CONTEXT_L = -5,   /* the letters of the word so far, whatever stands before it */
    CONTEXT_L1 = -6,  /* and those of the word before */
} ContextOfWords;

static const uint64_t MIX_1 = 0x9E3779B97F4A7C15u, MIX_2 = 0xC2B2AE3D27D4EB4Fu;

/* Spreads every bit of a number over all bits, as the finalizer of splitmix64 does. */
static inline uint64_t mix_bits(uint64_t x) {
    x = (x ^ x >> 33) * MIX_1;
    x = (x ^ x >> 33) * MIX_2;
    return x ^ x >> 29;
}

/* Updates hashes of the word so far, the word before and the one before that, whether a word is under way, and hashes of
   the letters of the word so far and of the word before. */
static void update_words(const Model *m, int32_t id, uint64_t words[WORD_STATE]) {
    if (!m->uses_words) return;
    const int inside = m->in_word[id];
    if (words[3] && !inside) words[2] = words[1], words[1] = words[0], words[5] = words[4];
    words[0] = mix_bits((inside ? words[0] : 0) + m->id_hashes[id]);
    words[4] = mix_bits((inside && words[3] ? words[4] : 0) + m->id_hashes[id]);
    words[3] = inside;
}

/* Computes the keys (K',) of the contexts that end with *id; the ids before it stand in front of it.

   order_hashes: scratch, (max_order + 1,). */
static void hash_contexts(const Model *m, const int32_t *id, const uint64_t words[WORD_STATE], uint64_t *order_hashes,
                          uint32_t *keys) {
    uint64_t hash = 0;
    for (int64_t i = 1; i <= m->max_order; i++)
        order_hashes[i] = hash += m->id_hashes[i * m->vocabulary + id[1 - i]];
    const uint64_t two_words = mix_bits(words[0] + MIX_1) + words[1];
    for (int64_t k = 0; k < m->hashed_types; k++) {
        uint64_t x;
        switch (m->context_spec[k]) {
            case CONTEXT_W: x = words[0]; break;
            case CONTEXT_W1: x = two_words; break;
            case CONTEXT_W2: x = mix_bits(two_words) + words[2]; break;
            case CONTEXT_W1S: x = mix_bits(words[0] + MIX_2) + words[2]; break;
            case CONTEXT_L: x = words[4]; break;
            case CONTEXT_L1: x = mix_bits(words[4] + MIX_1) + words[5]; break;
            default: x = order_hashes[m->context_spec[k]];
        }
        keys[k] = mix_bits(x + m->salts[k]) >> 32;
    }
}

/* ---- GRUs -------------------------------------------------------------------------------------------------------- */

/* exp(x) by Cephes' polynomial: 2^n e^r with |r| <= log(2) / 2. Compilers vectorise it; calls of expf they do not. */
static inline float exp_poly(float x) {
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
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

#pragma GCC diagnostic ignored "-Wpsabi" /* how wide registers are handed over: only functions of this file do */
/* Parts of a sum, side by side: registers of every width add them up in the same order. */
typedef float Lanes __attribute__((vector_size(4 * LANES)));

static inline Lanes load_lanes(const float *x) {
    Lanes lanes;
    memcpy(&lanes, x, sizeof lanes);
    return lanes;
}

static inline float sum_lanes(Lanes lanes) {
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

static inline float sum(const float *x, int64_t n) {
    Lanes lanes = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) lanes += load_lanes(x + i);
    float total = sum_lanes(lanes);
    for (; i < n; i++) total += x[i];
    return total;
}

static inline float dot(const float *x, const float *y, int64_t n) {
    Lanes lanes = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) lanes += load_lanes(x + i) * load_lanes(y + i);
    float total = sum_lanes(lanes);
    for (; i < n; i++) total += x[i] * y[i];
    return total;
}

static inline float sigmoid(float x) { return 1.f / (1.f + exp_poly(-x)); }

/* x_q = round(STATE_MAX x) + STATE_ZERO, of x (n,) clipped to -1 and 1. */
static void quantize(const float *x, int64_t n, uint8_t *x_q) {
    for (int64_t i = 0; i < n; i++) {
        const float rounded = rintf(fminf(fmaxf(x[i], -1.f), 1.f) * STATE_MAX);
        x_q[i] = (uint8_t)((int32_t)rounded + STATE_ZERO);
    }
}

/* The bytes of one group of inputs. The plain loop needs none. */
__attribute__((unused)) static inline int32_t load_group(const uint8_t *x_q) {
    int32_t group;
    memcpy(&group, x_q, sizeof group);
    return group;
}

/* Multiplies x_q (rows, inputs) by the block of outputs that begins with c: sums (rows, COLUMN_BLOCK), a row of which is
   w->outputs behind the one before. All callers pass a constant number of rows, so that sums stay in registers. */
static inline __attribute__((always_inline)) void block_matmul(const QuantizedMatrix *w, int64_t c, const uint8_t *x_q,
                                                               int rows, int32_t *sums) {
    const int64_t inputs = w->inputs;
    const int8_t *weights = w->weights + c * inputs; /* (inputs / INPUT_GROUP, COLUMN_BLOCK, INPUT_GROUP) */
    sums += c;
#if defined(KERNEL_AVX512)
    __m512i sum[ROW_BLOCK][4];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < 4; j++) sum[r][j] = _mm512_setzero_si512();
    for (int64_t i = 0; i < inputs; i += INPUT_GROUP) {
        __m512i column[4];
        for (int j = 0; j < 4; j++) column[j] = _mm512_loadu_si512(weights + i * COLUMN_BLOCK + 64 * j);
        for (int r = 0; r < rows; r++) {
            const __m512i x = _mm512_set1_epi32(load_group(x_q + r * inputs + i));
            for (int j = 0; j < 4; j++) sum[r][j] = _mm512_dpbusd_epi32(sum[r][j], x, column[j]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < 4; j++) _mm512_storeu_si512(sums + r * w->outputs + 16 * j, sum[r][j]);
#elif defined(KERNEL_AVX2)
    for (int r = 0; r < rows; r++) {
        __m256i sum[8];
        for (int j = 0; j < 8; j++) sum[j] = _mm256_setzero_si256();
        for (int64_t i = 0; i < inputs; i += INPUT_GROUP) {
            const __m256i x = _mm256_set1_epi32(load_group(x_q + r * inputs + i));
            for (int j = 0; j < 8; j++) { /* pairs fit into 16 bits, see WEIGHT_MAX */
                const __m256i column = _mm256_loadu_si256((const void *)(weights + i * COLUMN_BLOCK + 32 * j));
                const __m256i pairs = _mm256_maddubs_epi16(x, column);
                sum[j] = _mm256_add_epi32(sum[j], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
            }
        }
        for (int j = 0; j < 8; j++) _mm256_storeu_si256((void *)(sums + r * w->outputs + 8 * j), sum[j]);
    }
#elif defined(KERNEL_SSSE3)
    for (int r = 0; r < rows; r++)
        for (int first = 0; first < COLUMN_BLOCK; first += 32) { /* as many sums as there are registers for */
            __m128i sum[8];
            for (int j = 0; j < 8; j++) sum[j] = _mm_setzero_si128();
            for (int64_t i = 0; i < inputs; i += INPUT_GROUP) {
                const __m128i x = _mm_set1_epi32(load_group(x_q + r * inputs + i));
                const int8_t *group = weights + i * COLUMN_BLOCK + first * INPUT_GROUP;
                for (int j = 0; j < 8; j++) {
                    const __m128i pairs = _mm_maddubs_epi16(x, _mm_loadu_si128((const void *)(group + 16 * j)));
                    sum[j] = _mm_add_epi32(sum[j], _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
                }
            }
            for (int j = 0; j < 8; j++) _mm_storeu_si128((void *)(sums + r * w->outputs + first + 4 * j), sum[j]);
        }
#elif defined(KERNEL_SSE2)
    for (int r = 0; r < rows; r++)
        for (int first = 0; first < COLUMN_BLOCK; first += 16) {
            __m128i sum[4][2]; /* of four outputs: half sums of the first two, and of the last two */
            for (int j = 0; j < 4; j++) sum[j][0] = sum[j][1] = _mm_setzero_si128();
            for (int64_t i = 0; i < inputs; i += INPUT_GROUP) {
                const __m128i bytes = _mm_set1_epi32(load_group(x_q + r * inputs + i));
                const __m128i x = _mm_unpacklo_epi8(bytes, _mm_setzero_si128());
                const int8_t *group = weights + i * COLUMN_BLOCK + first * INPUT_GROUP;
                for (int j = 0; j < 4; j++) { /* both are widened to 16 bits */
                    const __m128i column = _mm_loadu_si128((const void *)(group + 16 * j));
                    const __m128i low = _mm_srai_epi16(_mm_unpacklo_epi8(column, column), 8);
                    const __m128i high = _mm_srai_epi16(_mm_unpackhi_epi8(column, column), 8);
                    sum[j][0] = _mm_add_epi32(sum[j][0], _mm_madd_epi16(x, low));
                    sum[j][1] = _mm_add_epi32(sum[j][1], _mm_madd_epi16(x, high));
                }
            }
            for (int j = 0; j < 4; j++) {
                const __m128 low = _mm_castsi128_ps(sum[j][0]), high = _mm_castsi128_ps(sum[j][1]);
                const __m128i even = _mm_castps_si128(_mm_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)));
                const __m128i odd = _mm_castps_si128(_mm_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 3, 1)));
                _mm_storeu_si128((void *)(sums + r * w->outputs + first + 4 * j), _mm_add_epi32(even, odd));
            }
        }
#elif defined(KERNEL_NEON)
    for (int r = 0; r < rows; r++) {
        int32x4_t sum[16]; /* x - STATE_ZERO has a sign, as weights have; what it lacks is there before */
        for (int j = 0; j < 16; j++) sum[j] = vld1q_s32(w->zero_offsets + c + 4 * j);
        for (int64_t i = 0; i < inputs; i += INPUT_GROUP) {
            const uint32x4_t bytes = vdupq_n_u32((uint32_t)load_group(x_q + r * inputs + i));
            const int8x16_t x = vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(bytes), vdupq_n_u8(STATE_ZERO)));
            for (int j = 0; j < 16; j++) {
                const int8x16_t column = vld1q_s8(weights + i * COLUMN_BLOCK + 16 * j);
#if defined(__ARM_FEATURE_DOTPROD)
                sum[j] = vdotq_s32(sum[j], x, column);
#else /* pairs fit into 16 bits */
                const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(column)), high = vmull_high_s8(x, column);
                sum[j] = vpadalq_s16(sum[j], vpaddq_s16(low, high));
#endif
            }
        }
        for (int j = 0; j < 16; j++) vst1q_s32(sums + r * w->outputs + 4 * j, sum[j]);
    }
#elif defined(KERNEL_WASM)
    for (int r = 0; r < rows; r++)
        for (int first = 0; first < COLUMN_BLOCK; first += 16) {
            v128_t sum[4][2]; /* as for SSE2 */
            for (int j = 0; j < 4; j++) sum[j][0] = sum[j][1] = wasm_i32x4_splat(0);
            for (int64_t i = 0; i < inputs; i += INPUT_GROUP) {
                const v128_t x = wasm_u16x8_extend_low_u8x16(wasm_i32x4_splat(load_group(x_q + r * inputs + i)));
                const int8_t *group = weights + i * COLUMN_BLOCK + first * INPUT_GROUP;
                for (int j = 0; j < 4; j++) {
                    const v128_t column = wasm_v128_load(group + 16 * j);
                    const v128_t low = wasm_i16x8_extend_low_i8x16(column), high = wasm_i16x8_extend_high_i8x16(column);
                    sum[j][0] = wasm_i32x4_add(sum[j][0], wasm_i32x4_dot_i16x8(x, low));
                    sum[j][1] = wasm_i32x4_add(sum[j][1], wasm_i32x4_dot_i16x8(x, high));
                }
            }
            for (int j = 0; j < 4; j++) {
                const v128_t even = wasm_i32x4_shuffle(sum[j][0], sum[j][1], 0, 2, 4, 6);
                const v128_t odd = wasm_i32x4_shuffle(sum[j][0], sum[j][1], 1, 3, 5, 7);
                wasm_v128_store(sums + r * w->outputs + first + 4 * j, wasm_i32x4_add(even, odd));
            }
        }
#else
    for (int r = 0; r < rows; r++) {
        int32_t sum[COLUMN_BLOCK] = {0};
        for (int64_t i = 0; i < inputs; i += INPUT_GROUP) {
            const uint8_t *x = x_q + r * inputs + i;
            const int8_t *column = weights + i * COLUMN_BLOCK;
            for (int j = 0; j < COLUMN_BLOCK; j++)
                sum[j] += x[0] * column[4 * j] + x[1] * column[4 * j + 1] + x[2] * column[4 * j + 2]
                          + x[3] * column[4 * j + 3];
        }
        memcpy(sums + r * w->outputs, sum, sizeof sum);
    }
#endif
}

/* Multiplies x_q (R, inputs), at most ROW_BLOCK rows, by a matrix: sums (R, outputs), the same on every processor.

   With `backwards` the last outputs are computed first; see forward_networks. */
static void quantized_matmul(const QuantizedMatrix *w, int backwards, const uint8_t *x_q, int64_t rows, int32_t *sums) {
    for (int64_t i = 0; i < w->outputs; i += COLUMN_BLOCK) {
        const int64_t c = backwards ? w->outputs - COLUMN_BLOCK - i : i;
        if (rows == ROW_BLOCK) block_matmul(w, c, x_q, ROW_BLOCK, sums);
        else
            for (int64_t r = 0; r < rows; r++) block_matmul(w, c, x_q + r * w->inputs, 1, sums + r * w->outputs);
    }
}

/* Converts half precision to single; compilers do not find these instructions by themselves. */
static void half_to_float(const uint16_t *x, int64_t n, float *y) {
    int64_t i = 0;
#if defined(__AVX512F__)
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(y + i, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(x + i))));
#elif defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(x + i))));
#endif
    for (; i < n; i++) { /* the same bits further up, with an exponent that is 112 too small */
        const uint32_t bits = (uint32_t)(x[i] & 0x7FFF) << 13;
        float magnitude;
        memcpy(&magnitude, &bits, 4);
        y[i] = (x[i] & 0x8000 ? -0x1p112f : 0x1p112f) * magnitude;
    }
}

/* Replaces the state h (H,) of a GRU, as torch.nn.GRU computes it, from `sums` (3H,), the recurrent product of h:
   r = sigmoid(W_r id + U_r h), z = sigmoid(W_z id + U_z h), n = tanh(W_n id + r * (U_n h)), h' = n + z * (h - n).

   pre_activation: scratch, (4H,). */
static void gru_step(const Model *m, const GRUWeights *w, int64_t id, const int32_t *sums, float *pre_activation,
                     float *state) {
    const int64_t h = m->hidden;
    half_to_float(w->input_gates + id * 3 * h, 3 * h, pre_activation);
    half_to_float(w->input_new + id * h, h, pre_activation + 3 * h);
    for (int64_t i = 0; i < 3 * h; i++)
        pre_activation[i] += w->recurrent.scales[i] * (float)(sums[i] - w->recurrent.zero_offsets[i]);
    const float *reset = pre_activation, *update = reset + h, *recurrent_new = reset + 2 * h, *input_new = reset + 3 * h;
    for (int64_t i = 0; i < h; i++) { /* tanh(x) = 2 sigmoid(2x) - 1 */
        const float new = 2.f * sigmoid(2.f * (input_new[i] + sigmoid(reset[i]) * recurrent_new[i])) - 1.f;
        state[i] = new + sigmoid(update[i]) * (state[i] - new);
    }
}

/* ---- experts ----------------------------------------------------------------------------------------------------- */

/* A context that an expert has seen. */
typedef struct {
    int64_t expert;
    int64_t begin, num_followers; /* its followers are begin ... begin + num_followers of Matches */
    float total;                  /* how often it was seen */
} Match;

/* All that the experts know of one position. */
typedef struct {
    Match *matches;         /* (num_matches,); there is room for E */
    int64_t num_matches, num_followers;
    int64_t capacity;       /* followers that the arrays have room for */
    int32_t *ids;           /* (num_followers,) */
    float *counts;          /* (num_followers,): how often each followed */
} Matches;

/* Makes room for more followers. Returns 0, or -1 without memory. */
static int reserve_followers(Matches *k, int64_t more) {
    if (k->num_followers + more <= k->capacity) return 0;
    const int64_t capacity = 2 * (k->num_followers + more);
    int32_t *ids = realloc(k->ids, capacity * sizeof *ids);
    if (ids) k->ids = ids;
    float *counts = realloc(k->counts, capacity * sizeof *counts);
    if (counts) k->counts = counts;
    if (!ids || !counts) return -1;
    k->capacity = capacity;
    return 0;
}

/* The count of more than 16 bits at a position among the followers; 1 if there is none, as only hostile folders have. */
static int64_t large_count(const Model *m, int64_t position) {
    int64_t low = 0, high = m->large_size;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (m->large_positions[middle] < position) low = middle + 1;
        else high = middle;
    }
    return low < m->large_size && m->large_positions[low] == position ? m->large_counts[low] : 1;
}

/* Adds a match whose followers are those from `begin` on, and its features to the gates' hidden layers (M * G,):
   log(1 + total), log(1 + distinct), share of the commonest follower, seen at all, only one follower. */
static void add_gate_features(const Model *m, Matches *k, int64_t expert, int64_t begin, float pruned,
                              float *gate_hidden) {
    const int64_t num_followers = k->num_followers - begin, width = m->networks * m->gate;
    if (!num_followers) return;
    float total = pruned, max_count = 0;
    for (int64_t i = begin; i < k->num_followers; i++) {
        total += k->counts[i];
        max_count = fmaxf(max_count, k->counts[i]);
    }
    const float distinct = (float)num_followers + pruned;
    const float x[GATE_FEATURES] = {logf(1.f + total), logf(1.f + distinct), max_count / total, 1.f, distinct == 1.f};
    const float *w = m->feature_weights + expert * GATE_FEATURES * width;
    for (int64_t g = 0; g < width; g++)
        gate_hidden[g] += x[0] * w[g] + x[1] * w[width + g] + x[2] * w[2 * width + g] + x[3] * w[3 * width + g]
                          + x[4] * w[4 * width + g];
    k->matches[k->num_matches++] = (Match){expert, begin, num_followers, total};
}

static int64_t max_int(int64_t a, int64_t b) { return a > b ? a : b; }

/* Where the first of ascending pairs is that is not below that of a key; `size` if all are. Keys are hashes, so it is
   near the share of all keys that are smaller. */
static int64_t lower_bound(const uint64_t *pairs, int64_t size, uint32_t key) {
    const uint64_t x = (uint64_t)key << ID_BITS;
    int64_t low = (int64_t)((uint64_t)key * (uint64_t)size >> 32), high = low;
    if (!size) return 0;
    for (int64_t step = 64; low && pairs[low] >= x; step *= 4) high = low, low = max_int(low - step, 0);
    for (int64_t step = 64; high < size && pairs[high] < x; step *= 4) {
        low = high;
        high = high + step < size ? high + step : size;
    }
    const uint64_t *base = pairs + low;
    for (size = high - low; size > 1;) { /* without a branch, which the processor would have to guess */
        const int64_t half = size / 2;
        base += base[half - 1] < x ? half : 0;
        size -= half;
    }
    return base - pairs + (size && *base < x);
}

/* Finds what was learnt of a context at run time: begins and ends among the pairs. Returns the number of pairs. */
static int64_t learnt_pairs(const Request *q, uint32_t key, int64_t *begins, int64_t *ends) {
    int64_t count = 0;
    for (int64_t t = 0; t < ADAPTIVE_TABLES; t++) {
        const uint64_t *pairs = (const uint64_t *)(uintptr_t)q->adaptive[t].pairs;
        const int64_t size = q->adaptive[t].size;
        begins[t] = ends[t] = lower_bound(pairs, size, key);
        while (ends[t] < size && pairs[ends[t]] >> ID_BITS == key) ends[t]++;
        count += ends[t] - begins[t];
    }
    return count;
}

/* Adds what was learnt of a context at run time to its followers, those from `begin` on. Followers whose count is then
   0 or less go. Returns 0, or -1 without memory.

   slots: scratch, (V,), zero before and after: 1 + where an id is among the followers. */
static int adaptive_lookup(const Model *m, const Request *q, uint32_t key, int64_t begin, int32_t *slots, Matches *k) {
    int64_t pair_begin[ADAPTIVE_TABLES], pair_end[ADAPTIVE_TABLES];
    const int64_t more = learnt_pairs(q, key, pair_begin, pair_end);
    if (!more) return 0;
    if (reserve_followers(k, more)) return -1;
    for (int64_t j = begin; j < k->num_followers; j++) slots[k->ids[j]] = (int32_t)(j - begin) + 1;
    for (int64_t t = 0; t < ADAPTIVE_TABLES; t++) {
        const uint64_t *pairs = (const uint64_t *)(uintptr_t)q->adaptive[t].pairs;
        const int32_t *counts = (const int32_t *)(uintptr_t)q->adaptive[t].counts;
        for (int64_t i = pair_begin[t]; i < pair_end[t]; i++) {
            const int32_t id = pairs[i] & ((1 << ID_BITS) - 1);
            if (id >= m->vocabulary) continue;
            if (!slots[id]) {
                k->ids[k->num_followers] = id, k->counts[k->num_followers++] = 0;
                slots[id] = (int32_t)(k->num_followers - begin);
            }
            k->counts[begin + slots[id] - 1] += (float)counts[i];
        }
    }
    int64_t end = begin;
    for (int64_t j = begin; j < k->num_followers; j++) {
        slots[k->ids[j]] = 0;
        if (k->counts[j] > 0) k->ids[end] = k->ids[j], k->counts[end++] = k->counts[j];
    }
    k->num_followers = end;
    return 0;
}

/* Looks the contexts of a position up in all tables, keys (K,) in each, and in what was learnt at run time.

   The tables are larger than any cache, so each stage prefetches for all contexts what the next stage reads.

   lookups: scratch, (3, D * K). slots: see adaptive_lookup. */
static int table_lookup(const Model *m, const Request *q, const uint32_t *keys, uint32_t *lookups, int32_t *slots,
                        Matches *k, float *gate_hidden) {
    const int64_t n = m->tables * m->context_types;
    const int any_learnt = has_learnt(q);
    uint32_t *at = lookups, *begin = lookups + n, *size = lookups + 2 * n;
    for (int64_t i = 0; i < n; i++) { /* at = bucket */
        at[i] = (keys[i % m->context_types] >> m->bucket_shifts[i]) + m->bucket_offsets[i];
        __builtin_prefetch(m->bucket_begins + at[i]);
    }
    for (int64_t i = 0; i < n; i++) { /* at = where its keys begin */
        at[i] = m->bucket_begins[at[i]];
        __builtin_prefetch(m->table_keys + at[i]);
        __builtin_prefetch(m->table_keys + at[i] + m->bucket_size - 1);
    }
    for (int64_t i = 0; i < n; i++) { /* at = where the key is; size = whether it is there */
        const uint32_t *bucket = m->table_keys + at[i], key = keys[i % m->context_types];
        int64_t j = 0;
        while (j < m->bucket_size && bucket[j] != key) j++;
        size[i] = j < m->bucket_size;
        at[i] += size[i] ? j : 0;
        if (!size[i]) continue;
        __builtin_prefetch(m->follower_begins + at[i]);
        __builtin_prefetch(m->pruned + at[i]);
    }
    for (int64_t i = 0; i < n; i++) { /* begin, size = its followers */
        if (!size[i]) continue;
        begin[i] = m->follower_begins[at[i]];
        size[i] = m->follower_begins[at[i] + 1] - begin[i];
        __builtin_prefetch(m->follower_ids + begin[i]);
        __builtin_prefetch(m->follower_counts + begin[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t first = k->num_followers;
        if (reserve_followers(k, size[i])) return -1;
        for (uint32_t j = 0; j < size[i]; j++) {
            const int64_t position = (int64_t)begin[i] + j;
            const int64_t count = m->follower_counts[position] ? m->follower_counts[position] : large_count(m, position);
            k->ids[k->num_followers] = m->follower_ids[position];
            k->counts[k->num_followers++] = (float)count;
        }
        const float pruned = size[i] ? m->pruned[at[i]] : 0;
        if (any_learnt && i < m->context_types && adaptive_lookup(m, q, keys[i], first, slots, k)) return -1;
        add_gate_features(m, k, i, first, pruned, gate_hidden);
    }
    return 0;
}

/* Counts what followed the same contexts earlier in the text, at most WINDOW ids back: the cache model of Kuhn and De
   Mori. `at` is the position among context_keys (at + 1, C) and ids. Returns 0, or -1 without memory. */
static int text_cache_lookup(const Model *m, int64_t at, const uint32_t *context_keys, const int32_t *ids, Matches *k,
                             float *gate_hidden) {
    const int64_t n = m->cache_types, from = at > WINDOW ? at - WINDOW : 0;
    const uint32_t *wanted = context_keys + at * n;
    if (!n || ids[at] == PAD) return 0;
    for (int64_t type = 0; type < n; type++) {
        const int64_t first = k->num_followers;
        if (reserve_followers(k, at - from)) return -1;
        for (int64_t j = from; j < at; j++) {
            if (context_keys[j * n + type] != wanted[type] || ids[j] == PAD) continue;
            const int32_t id = ids[j + 1];
            int64_t i = first;
            while (i < k->num_followers && k->ids[i] != id) i++;
            if (i == k->num_followers) k->ids[k->num_followers] = id, k->counts[k->num_followers++] = 0;
            k->counts[i] += 1.f;
        }
        add_gate_features(m, k, m->tables * m->context_types + type, first, 0, gate_hidden);
    }
    return 0;
}

/* Adds each expert's scores to the logits (V,): w_1 log(1 + 10 count) + w_2 count / total, where the gate gives w.

   expert_scores: (2 + E, V) of zeros, for the logits before and for what each expert adds; or NULL. */
static void add_expert_scores(const Model *m, const Matches *k, const float *gate_hidden, float *logits,
                              float *expert_scores) {
    const int64_t width = m->networks * m->gate, v = m->vocabulary;
    if (expert_scores) memcpy(expert_scores, logits, v * sizeof *logits);
    for (int64_t i = 0; i < k->num_matches; i++) {
        const Match match = k->matches[i];
        const float *count_weights = m->score_weights + match.expert * SCORE_FEATURES * width;
        const float *share_weights = count_weights + width;
        const float *bias = m->score_bias + SCORE_FEATURES * match.expert;
        const float by_count = dot(gate_hidden, count_weights, width) + bias[0];
        const float by_share = (dot(gate_hidden, share_weights, width) + bias[1]) / match.total;
        for (int64_t j = match.begin; j < match.begin + match.num_followers; j++) {
            const float count = k->counts[j];
            const float log = count < LOG_TABLE_SIZE ? m->log_table[(int)count] : logf(1.f + 10.f * count);
            const float score = by_count * log + by_share * count;
            logits[k->ids[j]] += score;
            if (expert_scores) expert_scores[(1 + match.expert) * v + k->ids[j]] = score;
        }
    }
}

/* Mixes log-probabilities (V,) in place with the writer's layer, which knows what was learnt at run time: over the
   blend's p one context type after the other makes (count + weight p) / (total + weight), but for contexts that begin
   before the text. The layer has as much weight beside the blend as it has foretold this text the better of the two.

   before: number of ids of the text that are known before *id. trust: (1 + V,), whose first number is the weight; the
   others become what it is after each id. slots, gains: scratch, (V,), zero before and after. known: scratch, (V,).
   scores: (V,) of zeros, for what the layer adds; or NULL. */
static void mix_writer(const Model *m, const Request *q, const uint32_t *keys, const int32_t *id, int64_t before,
                       float *trust, int32_t *slots, int32_t *known, float *gains, float *log_probs, float *scores) {
    const int64_t v = m->vocabulary;
    const float weight = trust[0];
    float kept = 1, share = 0; /* of p, by the layer; of the trust, where the layer says something */
    int64_t count = 0;
    for (int64_t w = 0; w < m->layer_types; w++) {
        int64_t begin[ADAPTIVE_TABLES], end[ADAPTIVE_TABLES], total = 0;
        const int64_t column = m->layer_columns[w], order = m->context_spec[column];
        if (order > 0 && (order > before + 1 || id[1 - order] == BOS || id[1 - order] == PAD)) continue;
        if (!learnt_pairs(q, keys[column], begin, end)) continue;
        for (int64_t t = 0; t < ADAPTIVE_TABLES; t++) {
            const uint64_t *pairs = (const uint64_t *)(uintptr_t)q->adaptive[t].pairs;
            const int32_t *counts = (const int32_t *)(uintptr_t)q->adaptive[t].counts;
            for (int64_t i = begin[t]; i < end[t]; i++) {
                const int32_t follower = pairs[i] & ((1 << ID_BITS) - 1);
                if (follower < v) slots[follower] += counts[i], total += counts[i];
            }
        }
        if (total > 0) share = m->trust[1];
        const float sum = (float)total + m->layer_weights[w], below = m->layer_weights[w] / sum;
        kept *= below;
        for (int64_t i = 0; i < count; i++) gains[known[i]] *= below;
        for (int64_t t = 0; t < ADAPTIVE_TABLES; t++) {
            const uint64_t *pairs = (const uint64_t *)(uintptr_t)q->adaptive[t].pairs;
            for (int64_t i = begin[t]; i < end[t]; i++) {
                const int32_t follower = pairs[i] & ((1 << ID_BITS) - 1);
                if (follower >= v || !slots[follower]) continue;
                if (slots[follower] > 0) {
                    if (!(gains[follower] > 0)) known[count++] = follower;
                    gains[follower] += (float)slots[follower] / sum;
                }
                slots[follower] = 0;
            }
        }
    }
    const float rest = weight * kept + (1.f - weight), log_rest = logf(rest), after = weight * kept / rest;
    for (int64_t i = 0; i < v; i++) trust[1 + i] = after + share * (1.f - 2.f * after);
    if (scores)
        for (int64_t i = 0; i < v; i++) scores[i] = log_rest;
    for (int64_t i = 0; i < count; i++) {
        const int32_t follower = known[i];
        const float p = exp_poly(log_probs[follower]), own = weight * (gains[follower] + kept * p);
        const float mixed = own + (1.f - weight) * p;
        trust[1 + follower] = own / mixed + share * (1.f - 2.f * own / mixed);
        gains[follower] = logf(mixed);
        if (scores) scores[follower] = gains[follower] - log_probs[follower];
    }
    for (int64_t i = 0; i < v; i++) log_probs[i] += log_rest;
    for (int64_t i = 0; i < count; i++) log_probs[known[i]] = gains[known[i]], gains[known[i]] = 0;
}

/* ---- scratch memory ---------------------------------------------------------------------------------------------- */

/* Buffers of one call, all in one allocation; Matches' are apart, since they grow. */
typedef struct {
    void *memory;
    uint8_t *state_q;        /* (B, inputs): states of one network, quantized */
    uint8_t *output_q;       /* (P, inputs): those that logits are read from */
    int32_t *sums;           /* (ROW_BLOCK, outputs): of a product */
    float *pre_activation;   /* (4H,): of a GRU's gates */
    float *gate_in;          /* (P, M * G): pre-activation of the gates' hidden layers, of the networks alone */
    float *logits;           /* (V,): of one position */
    float *gate_hidden;      /* (M * G,): of one position */
    int32_t *text_ids;       /* (max_order + T,): recent and new ids of one text */
    int32_t *ids;            /* (B, N + T): cached and new ids */
    uint32_t *context_keys;  /* (B, N + T, C): of the contexts that end with each */
    uint32_t *position_keys; /* (K',): of one position */
    uint32_t *keys;          /* (P, K') */
    uint64_t *order_hashes;  /* (max_order + 1,) */
    uint32_t *lookups;       /* (3, D * K) */
    int32_t *slots;          /* (V,): zero between calls */
    int32_t *known;          /* (V,): see mix_writer */
    float *gains;            /* (V,): zero between calls */
    float *log_probs;        /* (V,): while a text is sampled */
    float *states;           /* (M * H,): while a text is sampled */
    float *trust;            /* (1 + V,): while a text is sampled */
    double *cumulative;      /* (V,): while a text is sampled */
    Matches matches;
    int64_t bytes;
    int kept; /* whether the memory is the model's, which keeps it for the next call */
} Scratch;

/* Every buffer begins where the widest registers load fastest. */
static int64_t align64(int64_t bytes) { return (bytes + 63) & ~(int64_t)63; }

/* Takes the memory that the model kept of the call before, unless another thread is using it or it is too small: memory
   that comes and goes with every step would fragment the heap. Returns 0, or -1 without memory. */
static int acquire_scratch(Scratch *s, Model *m, int64_t batch, int64_t time, int64_t length, int64_t positions) {
    const int64_t inputs = m->gru[0].recurrent.inputs, all = length + time, n = m->tables * m->context_types;
    const int64_t outputs = max_int(m->gru[0].recurrent.outputs, m->gru[0].output.outputs);
    const struct {
        void *pointer;
        int64_t bytes;
    } buffers[] = {
        {&s->state_q, batch * inputs},
        {&s->output_q, positions * inputs},
        {&s->sums, 4 * ROW_BLOCK * outputs},
        {&s->pre_activation, 4 * 4 * m->hidden},
        {&s->gate_in, 4 * positions * m->networks * m->gate},
        {&s->logits, 4 * m->vocabulary},
        {&s->gate_hidden, 4 * m->networks * m->gate},
        {&s->text_ids, 4 * (m->max_order + time)},
        {&s->ids, 4 * batch * all},
        {&s->context_keys, 4 * batch * all * m->cache_types},
        {&s->position_keys, 4 * m->hashed_types},
        {&s->keys, 4 * positions * m->hashed_types},
        {&s->order_hashes, 8 * (m->max_order + 1)},
        {&s->lookups, 4 * 3 * n},
        {&s->slots, 4 * m->vocabulary},
        {&s->known, 4 * m->vocabulary},
        {&s->gains, 4 * m->vocabulary},
        {&s->matches.matches, (int64_t)sizeof(Match) * (n + m->cache_types)},
        {&s->log_probs, 4 * m->vocabulary},
        {&s->states, 4 * m->networks * m->hidden},
        {&s->trust, 4 * (1 + m->vocabulary)},
        {&s->cumulative, 8 * m->vocabulary},
    };
    int64_t bytes = 64;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) bytes += align64(buffers[i].bytes);
    s->matches = (Matches){0};
    s->bytes = bytes;
    s->kept = !__atomic_exchange_n(&m->lock, 1, __ATOMIC_ACQUIRE);
    if (s->kept && m->kept_bytes >= bytes) {
        s->memory = m->kept_memory;
        s->bytes = m->kept_bytes;
    } else {
        if (s->kept) { /* half as much again, since texts grow */
            free(m->kept_memory);
            m->kept_memory = NULL, m->kept_bytes = 0;
            s->bytes += bytes / 2;
        }
        s->memory = malloc(s->bytes);
    }
    if (s->kept) {
        s->matches.ids = m->kept_ids;
        s->matches.counts = m->kept_counts;
        s->matches.capacity = m->kept_capacity;
    }
    if (!s->memory) {
        if (s->kept) __atomic_store_n(&m->lock, 0, __ATOMIC_RELEASE);
        return -1;
    }
    char *next = (char *)(intptr_t)align64((int64_t)(intptr_t)s->memory);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        memcpy(buffers[i].pointer, &next, sizeof next);
        next += align64(buffers[i].bytes);
    }
    memset(s->state_q, STATE_ZERO, batch * inputs); /* inputs beyond H are 0 */
    memset(s->output_q, STATE_ZERO, positions * inputs);
    memset(s->slots, 0, 4 * m->vocabulary);
    memset(s->gains, 0, 4 * m->vocabulary);
    return 0;
}

/* Gives the memory back to the model, or to the heap if it is large or was not the model's. */
static void release_scratch(Model *m, Scratch *s) {
    const int large = 8 * s->matches.capacity > MAX_KEPT_BYTES;
    if (!s->kept || large) {
        free(s->matches.ids);
        free(s->matches.counts);
        s->matches = (Matches){0};
    }
    if (!s->kept || s->bytes > MAX_KEPT_BYTES) {
        free(s->memory);
        s->memory = NULL;
        s->bytes = 0;
    }
    if (!s->kept) return;
    m->kept_memory = s->memory;
    m->kept_bytes = s->bytes;
    m->kept_ids = s->matches.ids;
    m->kept_counts = s->matches.counts;
    m->kept_capacity = s->matches.capacity;
    __atomic_store_n(&m->lock, 0, __ATOMIC_RELEASE);
}

/* Frees the kept scratch memory of a model that is used no more. */
void kammil_free(Model *m) {
    free(m->kept_memory);
    free(m->kept_ids);
    free(m->kept_counts);
    m->kept_memory = NULL, m->kept_ids = NULL, m->kept_counts = NULL;
    m->kept_bytes = m->kept_capacity = 0;
}

/* ---- a call ------------------------------------------------------------------------------------------------------ */

/* Copies the ids of text b, whose state is in a row, to text_ids (max_order + T,) and ids (N + T,); returns 0 if one is
   not in the vocabulary. */
static int load_ids(const Model *m, const Request *q, int64_t b, int64_t row, int32_t *text_ids, int32_t *ids) {
    const int64_t v = m->vocabulary;
    for (int64_t i = 0; i < m->max_order; i++) {
        const int64_t id = q->recent_ids[row * m->max_order + i];
        if (id < 0 || id >= v) return 0;
        text_ids[i] = (int32_t)id;
    }
    for (int64_t i = 0; i < q->time; i++) {
        const int64_t id = q->input_ids[b * q->time + i];
        if (id < 0 || id >= v) return 0;
        text_ids[m->max_order + i] = ids[q->length + i] = (int32_t)id;
    }
    for (int64_t i = 0; i < q->length; i++) {
        const int64_t id = q->cached_ids[row * q->length + i];
        if (id < 0 || id >= v) return 0;
        ids[i] = (int32_t)id;
    }
    return 1;
}

/* Steps network i through the new ids, its states in place, and adds what it says at the last positions to logits
   (P, V) and gate_in. Without new ids, T = 0, it says what it does in the states as they are. */
static void gru_forward(const Model *m, const Request *q, int64_t i, int backwards, float *states, Scratch *s,
                        float *logits) {
    const GRUWeights *w = m->gru + i;
    const int64_t h = m->hidden, networks = m->networks, v = m->vocabulary, first = q->time - q->last;
    const int64_t inputs = w->recurrent.inputs, positions = q->batch * q->last;
    int32_t *sums = s->sums;
    for (int64_t b = 0; b < q->batch; b++) quantize(states + (b * networks + i) * h, h, s->state_q + b * inputs);
    for (int64_t t = 0; t < q->time; t++)
        for (int64_t b = 0; b < q->batch; b += ROW_BLOCK) {
            const int64_t rows = q->batch - b < ROW_BLOCK ? q->batch - b : ROW_BLOCK;
            quantized_matmul(&w->recurrent, backwards, s->state_q + b * inputs, rows, sums);
            for (int64_t r = 0; r < rows; r++) {
                float *state = states + ((b + r) * networks + i) * h;
                uint8_t *state_q = s->state_q + (b + r) * inputs;
                const int64_t id = q->input_ids[(b + r) * q->time + t];
                gru_step(m, w, id, sums + r * w->recurrent.outputs, s->pre_activation, state);
                quantize(state, h, state_q);
                if (t >= first) memcpy(s->output_q + ((b + r) * q->last + t - first) * inputs, state_q, h);
            }
        }
    if (!q->time) memcpy(s->output_q, s->state_q, positions * inputs);
    const QuantizedMatrix *output = &w->output;
    for (int64_t p = 0; p < positions; p += ROW_BLOCK) {
        const int64_t rows = positions - p < ROW_BLOCK ? positions - p : ROW_BLOCK;
        quantized_matmul(output, backwards, s->output_q + p * inputs, rows, sums);
        for (int64_t r = 0; r < rows; r++) {
            float *row = logits + (p + r) * v, *gate_in = s->gate_in + ((p + r) * networks + i) * m->gate;
            const int32_t *sum = sums + r * output->outputs;
            for (int64_t j = 0; j < v; j++) row[j] += output->scales[j] * (float)(sum[j] - output->zero_offsets[j]);
            for (int64_t j = 0, k = v; j < m->gate; j++, k++)
                gate_in[j] += output->scales[k] * (float)(sum[k] - output->zero_offsets[k]);
        }
    }
}

/* Steps all networks, whose states (B, M * H) change in place; logits (P, V) and gate_in (P, M * G) are what they say,
   bias included.

   Every call goes through the weights in the other direction. Those of two large networks are a little more than the L2
   cache holds: whoever starts at the beginning every time finds that the end has just replaced it. */
static void forward_networks(Model *m, const Request *q, float *states, Scratch *s, float *logits) {
    const int64_t v = m->vocabulary, width = m->networks * m->gate, positions = q->batch * q->last;
    const int backwards = __atomic_fetch_add(&m->steps, 1, __ATOMIC_RELAXED) & 1;
    const int last_first = backwards && m->networks <= 2; /* a + b = b + a, but sums of three depend on the order */
    if (positions) memset(logits, 0, 4 * positions * v);
    memset(s->gate_in, 0, 4 * positions * width);
    for (int64_t i = 0; i < m->networks; i++)
        gru_forward(m, q, last_first ? m->networks - 1 - i : i, backwards, states, s, logits);
    for (int64_t p = 0; p < positions; p++) {
        for (int64_t i = 0; i < v; i++) logits[p * v + i] += m->bias[i];
        for (int64_t g = 0; g < width; g++) s->gate_in[p * width + g] += m->bias[v + g];
    }
}

/* Turns the networks' logits (V,) at position p into the blend's log-probabilities, in place: adds the experts' scores
   as the gate weighs them, normalises, and mixes them with the writer's layer. Returns 0, or -1 without memory.

   at: the position among context_keys and ids of its text. trust: see mix_writer; NULL where the layer is empty.
   expert_scores: see add_expert_scores; the last are the layer's. */
static int mix_and_normalise(const Model *m, const Request *q, int64_t p, int64_t at, const uint32_t *context_keys,
                             const int32_t *ids, float *trust, Scratch *s, float *log_probs, float *expert_scores) {
    const int64_t v = m->vocabulary, width = m->networks * m->gate;
    float *logits = s->logits, *gate_hidden = s->gate_hidden;
    Matches *k = &s->matches;
    memcpy(logits, log_probs, 4 * v);
    memcpy(gate_hidden, s->gate_in + p * width, 4 * width);
    k->num_matches = k->num_followers = 0;
    if (table_lookup(m, q, s->keys + p * m->hashed_types, s->lookups, s->slots, k, gate_hidden)) return -1;
    if (text_cache_lookup(m, at, context_keys, ids, k, gate_hidden)) return -1;
    for (int64_t g = 0; g < width; g++) gate_hidden[g] = fmaxf(gate_hidden[g], 0.f); /* ReLU */
    add_expert_scores(m, k, gate_hidden, logits, expert_scores);
    float max_logit = logits[0];
    for (int64_t i = 1; i < v; i++) max_logit = fmaxf(max_logit, logits[i]);
    for (int64_t i = 0; i < v; i++) log_probs[i] = exp_poly(logits[i] - max_logit);
    max_logit += logf(sum(log_probs, v)); /* log-sum-exp */
    for (int64_t i = 0; i < v; i++) log_probs[i] = logits[i] - max_logit;
    if (trust)
        mix_writer(m, q, s->keys + p * m->hashed_types, ids + at, at, trust, s->slots, s->known, s->gains, log_probs,
                   expert_scores ? expert_scores + (1 + m->tables * m->context_types + m->cache_types) * v : NULL);
    return 0;
}

/* Hashes the contexts of all new ids of text b, whose ids are loaded and whose state is in a row: its context_keys
   (N + T, C), and keys (L, K') where log-probabilities are wanted. Updates words. */
static void hash_text(const Model *m, const Request *q, int64_t b, int64_t row, uint64_t words[WORD_STATE], Scratch *s) {
    const int64_t all = q->length + q->time, n = m->cache_types, first = q->time - q->last;
    uint32_t *context_keys = s->context_keys + b * all * n;
    memcpy(context_keys, q->cached_keys + row * q->length * n, 4 * q->length * n);
    memcpy(words, q->word_state + WORD_STATE * row, WORD_STATE * sizeof *words);
    for (int64_t t = 0; t < q->time; t++) {
        const int32_t *id = s->text_ids + m->max_order + t;
        update_words(m, *id, words);
        hash_contexts(m, id, words, s->order_hashes, s->position_keys);
        for (int64_t k = 0; k < n; k++)
            context_keys[(q->length + t) * n + k] = s->position_keys[m->cache_columns[k]];
        if (t >= first)
            memcpy(s->keys + (b * q->last + t - first) * m->hashed_types, s->position_keys, 4 * m->hashed_types);
    }
}

/* The state of all texts after a call, in one piece of memory, its arrays in this order. */
typedef struct {
    int64_t *recent_ids;   /* (B, max_order) */
    uint64_t *word_state;  /* (B, WORD_STATE) */
    int64_t *cached_ids;   /* (B, length) */
    float *hidden;         /* (B, M * H) */
    uint32_t *cached_keys; /* (B, length, C) */
    float *trust;          /* (B, trusts) */
    int64_t length;        /* at most WINDOW */
    int64_t trusts;
} State;

/* Where the arrays of a state are, of texts of which `all` ids are known. */
static State state_at(const Model *m, char *memory, int64_t batch, int64_t all, int64_t trusts) {
    State after = {.length = all < WINDOW ? all : WINDOW, .trusts = trusts};
    after.recent_ids = (int64_t *)memory;
    after.word_state = (uint64_t *)(after.recent_ids + batch * m->max_order);
    after.cached_ids = (int64_t *)(after.word_state + batch * WORD_STATE);
    after.hidden = (float *)(after.cached_ids + batch * after.length);
    after.cached_keys = (uint32_t *)(after.hidden + batch * m->networks * m->hidden);
    after.trust = (float *)(after.cached_keys + batch * after.length * m->cache_types);
    return after;
}

/* Writes the state of text b, but for `hidden` and `trust`: of `all` ids (all,) and their context_keys, of which `time` are new. */
static void write_state(const Model *m, const State *after, int64_t b, int64_t all, int64_t time,
                        const uint64_t words[WORD_STATE], const int32_t *text_ids, const int32_t *ids,
                        const uint32_t *context_keys) {
    const int64_t length = after->length, n = m->cache_types;
    memcpy(after->word_state + WORD_STATE * b, words, WORD_STATE * sizeof *words);
    memcpy(after->cached_keys + b * length * n, context_keys + (all - length) * n, 4 * length * n);
    for (int64_t i = 0; i < length; i++) after->cached_ids[b * length + i] = ids[all - length + i];
    for (int64_t i = 0; i < m->max_order; i++) after->recent_ids[b * m->max_order + i] = text_ids[time + i];
}

/* Trust in the writer's layer behind an id, from the state before it (trusts,). */
static float trust_behind(const Model *m, const float *trust, int64_t trusts, int64_t id) {
    return trusts ? trust[1 + id] : m->trust[0];
}

/* Reads new ids: log_probs (P, V) at the last positions, and the state after them. Returns 0, or -1 without memory, or
   -2 for an id that is not in the vocabulary.

   Where the writer's layer knows something, L must be T: trust is a matter of every position.
   rows: (B,), which row of the state each text goes on from; or NULL for its own.
   expert_scores: (P, 2 + E, V) of zeros, for the networks' logits and what each expert adds to them; or NULL. */
static int forward(Model *m, const Request *q, const int64_t *rows, const State *after, float *log_probs,
                   float *expert_scores) {
    const int64_t all = q->length + q->time, positions = q->batch * q->last, n = m->cache_types;
    const int64_t experts = m->tables * m->context_types + n, width = m->networks * m->hidden;
    Scratch s;
    if (acquire_scratch(&s, m, q->batch, q->time, q->length, positions)) return -1;
    int failed = 0;
    for (int64_t b = 0; b < q->batch && !failed; b++) {
        uint64_t words[WORD_STATE];
        const int64_t row = rows ? rows[b] : b;
        if (load_ids(m, q, b, row, s.text_ids, s.ids + b * all)) {
            hash_text(m, q, b, row, words, &s);
            write_state(m, after, b, all, q->time, words, s.text_ids, s.ids + b * all, s.context_keys + b * all * n);
            memcpy(after->hidden + b * width, q->hidden + row * width, 4 * width);
        } else failed = -2;
    }
    if (!failed && q->batch) forward_networks(m, q, after->hidden, &s, log_probs);
    for (int64_t p = 0; p < positions && !failed; p++) {
        const int64_t b = p / q->last, at = all - q->last + p % q->last, first = p % q->last == 0;
        float *trust = after->trusts ? after->trust + b * after->trusts : NULL;
        if (trust) {
            const float *before = first ? q->trust + (rows ? rows[b] : b) * q->trusts : trust;
            trust[0] = trust_behind(m, before, first ? q->trusts : after->trusts, s.ids[b * all + at]);
        }
        failed = mix_and_normalise(m, q, p, at, s.context_keys + b * all * n, s.ids + b * all, trust, &s,
                                   log_probs + p * m->vocabulary,
                                   expert_scores ? expert_scores + p * (2 + experts) * m->vocabulary : NULL);
    }
    release_scratch(m, &s);
    return failed;
}

/* Does what `forward` does, for whoever calls from outside. */
int kammil_forward(Model *m, const char *message, char *state, float *log_probs, float *expert_scores) {
    const Request q = parse_request(m, message);
    const State after = state_at(m, state, q.batch, q.length + q.time, trusts_after(m, &q));
    return forward(m, &q, NULL, &after, log_probs, expert_scores);
}

/* Samples an id from log_probs (V,) at a temperature by inverse transform: the first id whose cumulative probability is
   more than `uniform`, a number in [0, 1); the most probable id at temperature 0. `forbidden` (V,) ids are never it.

   cumulative: scratch, (V,). */
static int64_t sample_id(const Model *m, const float *log_probs, const uint8_t *forbidden, double temperature,
                         double uniform, double *cumulative) {
    const int64_t v = m->vocabulary;
    double max = -1e300, total = 0;
    int64_t best = 0;
    for (int64_t i = 0; i < v; i++)
        if (!forbidden[i] && log_probs[i] > max) max = log_probs[i], best = i;
    if (temperature == 0) return best;
    const double shift = temperature == 1 && max > -600 ? 0 : max; /* exp of less than -600 would be about 0 */
    for (int64_t i = 0; i < v; i++)
        cumulative[i] = total += forbidden[i] ? 0 : exp(fmax((log_probs[i] - shift) / temperature, -1e3));
    for (int64_t i = 0; i < v; i++)
        if (cumulative[i] > uniform * total) return i;
    return v - 1;
}

/* Samples up to n ids after the state of one text, and reads each before the next; stops after the id `end`.

   The request has no new ids, T = 0, but some have been read before. uniforms: (n,). sampled, sampled_log_probs: (n,),
   the ids and their log-probabilities. Returns how many it sampled, or fails as kammil_forward does. */
int kammil_sample(Model *m, const char *message, int64_t n, const double *uniforms, double temperature,
                  const uint8_t *forbidden, int64_t end, char *state, int64_t *sampled, float *sampled_log_probs) {
    Request request = parse_request(m, message), *q = &request;
    const int64_t length = q->length, cache_types = m->cache_types, trusts = trusts_after(m, q);
    Scratch s;
    if (acquire_scratch(&s, m, 1, n, length, 1)) return -1;
    float *log_probs = s.log_probs, *states = s.states, *trust = trusts ? s.trust : NULL;
    double *cumulative = s.cumulative;
    int64_t count = 0, failed = 0;
    if ((cache_types && !length) || !load_ids(m, q, 0, 0, s.text_ids, s.ids)) failed = -2;
    if (!failed) {
        uint64_t words[WORD_STATE];
        int64_t id = 0;
        hash_text(m, q, 0, 0, words, &s);
        memcpy(states, q->hidden, 4 * m->networks * m->hidden);
        hash_contexts(m, s.text_ids + m->max_order - 1, words, s.order_hashes, s.keys);
        q->input_ids = &id;
        if (trust) trust[0] = q->trusts ? q->trust[0] : m->trust[0];
        while (!failed && count < n) {
            forward_networks(m, q, states, &s, log_probs);
            failed = mix_and_normalise(m, q, 0, length + count - 1, s.context_keys, s.ids, trust, &s, log_probs, NULL);
            if (failed) break;
            sampled[count] = id = sample_id(m, log_probs, forbidden, temperature, uniforms[count], cumulative);
            sampled_log_probs[count] = log_probs[id];
            s.text_ids[m->max_order + count] = s.ids[length + count] = (int32_t)id;
            update_words(m, (int32_t)id, words);
            hash_contexts(m, s.text_ids + m->max_order + count, words, s.order_hashes, s.keys);
            for (int64_t k = 0; k < cache_types; k++)
                s.context_keys[(length + count) * cache_types + k] = s.keys[m->cache_columns[k]];
            if (trust) trust[0] = trust[1 + id];
            q->time = 1;
            count++;
            if (id == end) break;
        }
        const State after = state_at(m, state, 1, length + count, trusts);
        write_state(m, &after, 0, length + count, count, words, s.text_ids, s.ids, s.context_keys);
        q->last = trusts > 0; /* the last id is read too, but nothing is asked after it, except by the writer's layer */
        if (!failed) forward_networks(m, q, states, &s, log_probs);
        if (!failed && trust)
            failed = mix_and_normalise(m, q, 0, length + count - 1, s.context_keys, s.ids, trust, &s, log_probs, NULL);
        memcpy(after.hidden, states, 4 * m->networks * m->hidden);
        if (trust) memcpy(after.trust, trust, trusts * sizeof *trust);
    }
    release_scratch(m, &s);
    return failed ? (int)failed : (int)count;
}

/* ---- the search for words ---------------------------------------------------------------------------------------- */

/* Bits of WordQuery.classes: the part that an id has in a word. */
enum { BEGINS = 1, CONTINUES = 2, ENDS_WORDS = 4, FOREIGN = 8, CAREFUL = 16 };

/* Bits of WordQuery.kinds: the kind of a letter of a folded word. */
enum { LETTER = 1, LONG_VOWEL = 2 };

/* A doubled vowel, or a careful spelling, is as good as the other one if it is at least so probable, as a share. */
#define MIN_OF_BEST 0.2

/* A search for words: N beginnings, *roots*, of which one is usually what was typed and the others what may be
   meant by it. Addresses are numbers; all arrives in one piece of memory, numbers first. `word_search.py` has the terms. */
typedef struct {
    int64_t roots;               /* N */
    int64_t k;                   /* number of words that are wanted */
    int64_t width;               /* number of beginnings of one length that are kept */
    int64_t max_characters;      /* of a word, without what its root replaces */
    double threshold;            /* minimum probability of a word */
    double min_foreign;          /* the same where its last letter is foreign */
    int64_t fold_begins;         /* address of int32_t (V + 1,): where the folded letters of an id begin */
    int64_t folds;               /* address of int32_t (letters,): numbers of letters */
    int64_t kinds;               /* address of uint8_t: of each number of a letter */
    int64_t close;               /* address of float (V,): 1 for ids that end a word */
    int64_t refusals;            /* address of int32_t (S, V): the state after an id, -1 where the id is refused, 0 if it
                                    is not known yet; or 0 if nothing is refused */
    int64_t blocked;             /* address of uint8_t (S,): whether no word may end there */
    int64_t refusal_states;      /* S: states are 1 to S - 1 */
    const double *weights;       /* (N,): probability of each root */
    const int64_t *states;       /* (N,): of refusals */
    const int64_t *stem_begins;  /* (N + 2,): where the ids before each root begin, and those that were typed */
    const int64_t *stems;        /* ids that a root has in place of what was typed, if any; then those that were typed */
    const float *p;              /* (N, V): of what follows */
    const uint8_t *classes;      /* (V,) */
    const uint8_t *allowed;      /* (N, V): whether an id may come first */
} WordQuery;

static WordQuery parse_query(const Model *m, const char *message) {
    WordQuery q;
    memcpy(&q, message, QUERY_HEADER * sizeof(int64_t));
    q.weights = (const double *)message + QUERY_HEADER;
    q.states = (const int64_t *)(q.weights + q.roots);
    q.stem_begins = q.states + q.roots;
    q.stems = q.stem_begins + q.roots + 2;
    q.p = (const float *)(q.stems + q.stem_begins[q.roots + 1]);
    q.classes = (const uint8_t *)(q.p + q.roots * m->vocabulary);
    q.allowed = q.classes + m->vocabulary;
    return q;
}

/* A word that was found. */
typedef struct {
    double probability;
    double best;                 /* of its most probable spelling */
    int64_t root, length;        /* it is the root, and so many ids more */
    int64_t careful;             /* how many of its ids are careful spellings */
    int64_t written;             /* number of its letters before any were dropped */
    int64_t num_letters, num_plain;
    int32_t *letters;            /* folded, those that are stretched once */
    int32_t *plain;              /* and long vowels once */
    int32_t *ids;                /* (length,) */
} Word;

/* The k most probable words, each in one spelling, in the order in which they came: `WordList` in word_list.py. */
typedef struct {
    Word *words;                 /* (k + 2,): behind the words there is always one that is free */
    int64_t count, k;
    double to_beat;              /* probability of the last of k words, 0 while there are fewer */
    Word typed;                  /* what was typed: its letters, all of them, and `plain` */
} Words;

/* A beginning of words. */
typedef struct {
    double weight;               /* its probability */
    int64_t row, root, id;       /* its parent, its root, its last id */
    int64_t state;               /* of refusals */
    int64_t order;               /* when it came */
} Beginning;

/* A search, which may wait for states of refusals between two calls. */
typedef struct {
    const Model *m;              /* NULL before it begins */
    WordQuery query;
    Request request;
    Beginning *beginnings, *parents; /* (width,), (max(N, width),) */
    int32_t *ids, *parent_ids;   /* (width, max_characters): of each */
    float *p;                    /* (width, V): of what follows each parent but roots */
    int64_t *rows, *last_ids;    /* (width,): as forward takes them */
    char *state, *parent_state;
    int64_t level;               /* number of ids that the parents have behind their roots */
    int64_t num_parents, num_beginnings;
    double dropped;              /* probability of the best beginning that was dropped for the width */
    Words found;
} Search;

_Static_assert(offsetof(WordQuery, weights) == QUERY_HEADER * sizeof(int64_t), "a query begins with its numbers");

#define SWAP(type, x, y) \
    do { \
        type swapped = x; \
        x = y, y = swapped; \
    } while (0)

static int same_letters(const int32_t *x, int64_t n, const int32_t *y, int64_t k) {
    return n == k && !memcmp(x, y, n * sizeof *x);
}

/* Appends the folded letters of an id to a word. */
static void add_letters(const WordQuery *q, Word *word, int64_t id) {
    const int32_t *begins = (const int32_t *)(uintptr_t)q->fold_begins, *folds = (const int32_t *)(uintptr_t)q->folds;
    for (int32_t i = begins[id]; i < begins[id + 1]; i++) word->letters[word->num_letters++] = folds[i];
}

/* Takes stretched letters once (three or more are one), and for `plain` long vowels that are not first. */
static void unstretch(const WordQuery *q, Word *word) {
    const uint8_t *kinds = (const uint8_t *)(uintptr_t)q->kinds;
    int32_t *letters = word->letters;
    const int64_t n = word->written = word->num_letters;
    word->num_letters = word->num_plain = 0;
    for (int64_t i = 0, end; i < n; i = end) {
        const int32_t letter = letters[i];
        for (end = i + 1; end < n && letters[end] == letter; end++) continue;
        const int64_t times = end - i > 2 && kinds[letter] & LETTER ? 1 : end - i;
        for (int64_t j = 0; j < times; j++) letters[word->num_letters++] = letter;
    }
    for (int64_t i = 0; i < word->num_letters; i++) {
        word->plain[word->num_plain++] = letters[i];
        if (i && i + 1 < word->num_letters && letters[i] == letters[i + 1] && kinds[letters[i]] & LONG_VOWEL) i++;
    }
}

/* Whether a word is shown rather than one of the same letters: a continuation of what was typed, or a careful spelling,
   is better unless it is much less probable. */
static int is_better(const WordQuery *q, const Word *x, const Word *y) {
    const int x_typed = q->stem_begins[x->root] == q->stem_begins[x->root + 1];
    const int y_typed = q->stem_begins[y->root] == q->stem_begins[y->root + 1];
    if (x_typed == y_typed && x->careful == y->careful) return x->probability > y->probability;
    const int x_first = x_typed != y_typed ? x_typed : x->careful > y->careful;
    const Word *more = x_first ? x : y, *less = x_first ? y : x;
    return (more->probability >= MIN_OF_BEST * less->probability) == x_first;
}

/* Removes a word; its memory is that of the free one. */
static void remove_word(Words *found, int64_t i) {
    const Word removed = found->words[i];
    memmove(found->words + i, found->words + i + 1, (found->k + 1 - i) * sizeof removed);
    found->words[found->k + 1] = removed;
    found->count--;
}

/* Takes a word, unless k others are more probable or one is better spelled: `WordList.take`. */
static void take_word(const WordQuery *q, Words *found, const Beginning *beginning, const int32_t *ids, int64_t length,
                      double probability) {
    Word *new = found->words + found->count;
    const int64_t root = beginning->root, begin = q->stem_begins[root], end = q->stem_begins[root + 1];
    new->probability = new->best = probability, new->root = root, new->length = length;
    new->careful = 0;
    memcpy(new->ids, ids, length * sizeof *ids);
    if (begin < end) new->num_letters = 0;
    else {
        new->num_letters = found->typed.num_letters;
        memcpy(new->letters, found->typed.letters, found->typed.num_letters * sizeof *ids);
    }
    for (int64_t i = begin; i < end; i++) add_letters(q, new, q->stems[i]), new->careful += !!(q->classes[q->stems[i]] & CAREFUL);
    for (int64_t i = 0; i < length; i++) add_letters(q, new, ids[i]), new->careful += !!(q->classes[ids[i]] & CAREFUL);
    unstretch(q, new);
    const int is_plain = new->num_letters == new->num_plain;
    if (begin == end && new->num_plain > 1 && new->written != new->num_plain
        && same_letters(new->plain, new->num_plain, found->typed.plain, found->typed.num_plain))
        return; /* laughter, of one letter, may grow */
    int64_t old = -1;
    for (int64_t i = 0; i < found->count; i++) {
        const Word *word = found->words + i;
        if (!is_plain && same_letters(word->letters, word->num_letters, new->plain, new->num_plain)
            && probability < MIN_OF_BEST * word->probability)
            return;
    }
    for (int64_t i = found->count - 1; i >= 0 && is_plain; i--) { /* others of its letters with a doubled vowel */
        const Word *word = found->words + i;
        if (word->num_letters != word->num_plain && word->probability < MIN_OF_BEST * probability
            && same_letters(word->plain, word->num_plain, new->plain, new->num_plain))
            remove_word(found, i);
    }
    new = found->words + found->count;
    for (int64_t i = 0; i < found->count && old < 0; i++)
        if (same_letters(found->words[i].letters, found->words[i].num_letters, new->letters, new->num_letters)) old = i;
    if (old < 0) found->count++;
    else {
        Word *known = found->words + old, replaced = *known;
        const double best = fmax(probability, fmax(known->probability, known->best));
        if (is_better(q, new, known)) *known = *new, *new = replaced;
        known->best = best;
    }
    int64_t last = 0;
    for (int64_t i = 1; i < found->count; i++)
        if (found->words[i].probability < found->words[last].probability) last = i;
    if (found->count > found->k) {
        remove_word(found, last);
        last = 0;
        for (int64_t i = 1; i < found->count; i++)
            if (found->words[i].probability < found->words[last].probability) last = i;
    }
    found->to_beat = found->count == found->k ? found->words[last].probability : 0;
}

/* Chooses the beginnings that are one id longer than the parents: the most probable ones, at most `width`. */
static void choose_beginnings(Search *s, int64_t width) {
    const WordQuery *q = &s->query;
    const int64_t v = s->m->vocabulary, level = s->level;
    const int32_t *refusals = (const int32_t *)(uintptr_t)q->refusals;
    Beginning *chosen = s->beginnings;
    int64_t count = 0, order = 0;
    for (int64_t r = 0; r < s->num_parents; r++) {
        const Beginning *parent = s->parents + r;
        const float *p = (level ? s->p : q->p) + r * v;
        const uint8_t *allowed = level ? q->classes : q->allowed + r * v;
        const uint8_t wanted = !level ? 1 : q->classes[parent->id] & CONTINUES ? CONTINUES : BEGINS;
        const int32_t *after = refusals ? refusals + parent->state * v : NULL;
        /* Single precision, with room for rounding, leaves few candidates for exact comparison. */
        const float least = (float)fmin(fmax(s->found.to_beat, q->threshold) / fmax(parent->weight, 1e-300) * (1 - 1e-6), 2);
        for (int64_t id = 0; id < v; id++) {
            if (p[id] < least || !(allowed[id] & wanted) || (after && after[id] < 0)) continue;
            const double reach = parent->weight * p[id];
            if (reach < q->threshold || reach <= s->found.to_beat) continue;
            order++;
            if (count == width) {
                const double last = width ? chosen[width - 1].weight : reach;
                s->dropped = fmax(s->dropped, fmin(last, reach));
                if (reach <= last) continue;
                count--;
            }
            int64_t at = count++;
            for (; at > 0 && chosen[at - 1].weight < reach; at--) chosen[at] = chosen[at - 1];
            chosen[at] = (Beginning){reach, r, parent->root, id, parent->state, order};
        }
    }
    for (int64_t i = 1; i < count && order == count; i++) { /* none was dropped: in the order in which they came */
        const Beginning moved = chosen[i];
        int64_t at = i;
        for (; at > 0 && chosen[at - 1].order > moved.order; at--) chosen[at] = chosen[at - 1];
        chosen[at] = moved;
    }
    s->num_beginnings = count;
}

/* Finds the states of refusals after the beginnings. unknown: (width, 2), a state and the id behind it where it is not
   known what follows. Returns how many there are, or -2 for a state that the table has not. */
static int64_t find_states(Search *s, int64_t *unknown) {
    const WordQuery *q = &s->query;
    const int32_t *refusals = (const int32_t *)(uintptr_t)q->refusals;
    int64_t count = 0;
    for (int64_t i = 0; i < s->num_beginnings && refusals; i++) {
        Beginning *b = s->beginnings + i;
        const int64_t before = s->parents[b->row].state;
        b->state = refusals[before * s->m->vocabulary + b->id];
        if (b->state >= q->refusal_states) return -2;
        if (b->state > 0) continue;
        unknown[2 * count] = before, unknown[2 * count + 1] = b->id;
        count++;
    }
    return count;
}

/* Reads the last ids of the beginnings, and takes the words that end with them. Returns 0, or fails. */
static int read_beginnings(Search *s, Model *m) {
    const WordQuery *q = &s->query;
    Request *request = &s->request;
    const int64_t v = m->vocabulary, n = s->num_beginnings, c = q->max_characters, level = s->level;
    const uint8_t *blocked = (const uint8_t *)(uintptr_t)q->blocked;
    const float *close = (const float *)(uintptr_t)q->close;
    for (int64_t i = 0; i < n; i++) {
        const Beginning *b = s->beginnings + i;
        s->rows[i] = b->row, s->last_ids[i] = b->id;
        memcpy(s->ids + i * c, s->parent_ids + b->row * c, level * sizeof *s->ids);
        s->ids[i * c + level] = (int32_t)b->id;
    }
    const State after = state_at(m, s->state, n, request->length + 1, trusts_after(m, request));
    request->batch = n, request->time = request->last = 1, request->input_ids = s->last_ids;
    const int failed = forward(m, request, s->rows, &after, s->p, NULL);
    if (failed) return failed;
    request->recent_ids = after.recent_ids, request->word_state = after.word_state;
    request->cached_ids = after.cached_ids, request->hidden = after.hidden, request->cached_keys = after.cached_keys;
    request->trust = after.trust, request->trusts = after.trusts;
    request->length = after.length;
    const double to_beat = s->found.to_beat;
    for (int64_t i = 0; i < n; i++) {
        const Beginning *b = s->beginnings + i;
        float *p = s->p + i * v;
        for (int64_t id = 0; id < v; id++) p[id] = exp_poly(p[id]);
        const double closed = b->weight * dot(close, p, v);
        const uint8_t class = q->classes[b->id];
        if (!(class & ENDS_WORDS) || closed < q->threshold || closed <= to_beat) continue;
        if ((class & FOREIGN && closed < q->min_foreign) || (blocked && blocked[b->state])) continue;
        take_word(q, &s->found, b, s->ids + i * c, level + 1, closed);
    }
    return 0;
}

/* Places a search that was parsed, and its buffers, in memory, which is of zeros, or NULL; returns how many bytes it
   takes. */
static int64_t place_search(const Model *m, const Request *request, const WordQuery *q, char *memory) {
    const int64_t v = m->vocabulary, k = q->k, c = q->max_characters, length = request->length + c;
    const int64_t kept = length < WINDOW ? length : WINDOW, *begins = q->stem_begins;
    const int64_t state_bytes = 8 * (m->max_order + WORD_STATE + kept)
                                + 4 * (m->networks * m->hidden + kept * m->cache_types + trusts_after(m, request));
    const int32_t *fold_begins = (const int32_t *)(uintptr_t)q->fold_begins;
    int64_t max_fold = 0, max_stem = 0;
    for (int64_t id = 0; id < v; id++) max_fold = max_int(max_fold, fold_begins[id + 1] - fold_begins[id]);
    for (int64_t i = 0; i <= q->roots; i++) max_stem = max_int(max_stem, begins[i + 1] - begins[i]);
    const int64_t letters = (max_stem + c) * max_fold, word_bytes = align64(4 * letters) * 2 + align64(4 * c);
    Search s = {.m = m, .query = *q, .request = *request, .num_parents = q->roots, .found = {.k = k}}, *placed;
    const struct {
        void *pointer;
        int64_t bytes;
    } buffers[] = {
        {&placed, sizeof s},
        {&s.beginnings, q->width * (int64_t)sizeof(Beginning)},
        {&s.parents, max_int(q->roots, q->width) * (int64_t)sizeof(Beginning)},
        {&s.ids, 4 * q->width * c},
        {&s.parent_ids, 4 * max_int(q->roots, q->width) * c},
        {&s.p, 4 * q->width * v},
        {&s.rows, 8 * q->width},
        {&s.last_ids, 8 * q->width},
        {&s.state, q->width * state_bytes},
        {&s.parent_state, q->width * state_bytes},
        {&s.found.words, (k + 2) * (int64_t)sizeof(Word)},
        {&s.found.typed.letters, (k + 3) * word_bytes},
    };
    int64_t bytes = 64;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) bytes += align64(buffers[i].bytes);
    if (!memory) return bytes;
    char *next = memory;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        memcpy(buffers[i].pointer, &next, sizeof next);
        next += align64(buffers[i].bytes);
    }
    char *of_words = (char *)s.found.typed.letters;
    for (int64_t i = 0; i < k + 3; i++, of_words += word_bytes) {
        Word *word = i < k + 2 ? s.found.words + i : &s.found.typed;
        *word = (Word){.letters = (int32_t *)of_words, .plain = (int32_t *)(of_words + align64(4 * letters))};
        word->ids = (int32_t *)(of_words + 2 * align64(4 * letters));
    }
    Word *typed = &s.found.typed, *first = s.found.words;
    for (int64_t i = begins[q->roots]; i < begins[q->roots + 1]; i++)
        add_letters(q, typed, q->stems[i]), add_letters(q, first, q->stems[i]);
    unstretch(q, first);
    typed->num_plain = first->num_plain;
    memcpy(typed->plain, first->plain, 4 * first->num_plain);
    for (int64_t i = 0; i < q->roots; i++) s.parents[i] = (Beginning){q->weights[i], i, i, 0, q->states[i], 0};
    *placed = s;
    return bytes;
}

/* How many bytes of memory a search takes. */
int64_t kammil_search_bytes(const Model *m, const char *message, const char *query) {
    const Request request = parse_request(m, message);
    const WordQuery q = parse_query(m, query);
    return place_search(m, &request, &q, NULL);
}

/* Searches words level by level: no word is more probable than its beginnings, so a beginning less probable than the
   threshold, or than the k best words so far, is dropped with all its words. `WordSearch._search` in word_search.py is
   the reference.

   The request holds the state of the roots, T = 0. memory: of zeros, as much as kammil_search_bytes says. found_words:
   (k, 2 + max_characters), a row for each word: its root, how many ids follow, the ids. probabilities: (k, 2), of the
   word and of its best spelling. stats: (2,), number of steps, and whether the list is proven. Returns how many words it
   found, the most probable first; or fails as kammil_forward does; or returns -3 where states of refusals are not known:
   stats[0] is how many, unknown (width, 2) what they follow, a state and an id. Who makes them known calls again with
   the same arguments, and the search goes on. */
int kammil_search(Model *m, const char *message, const char *query, char *memory, int64_t *unknown,
                  int64_t *found_words, double *probabilities, int64_t *stats) {
    memory = (char *)(intptr_t)align64((int64_t)(intptr_t)memory);
    Search *s = (Search *)memory;
    const WordQuery *q = &s->query;
    if (!s->m) {
        const Request request = parse_request(m, message);
        const WordQuery parsed = parse_query(m, query);
        for (int64_t i = 0; i < parsed.roots && parsed.refusals; i++)
            if (parsed.states[i] <= 0 || parsed.states[i] >= parsed.refusal_states) return -2;
        place_search(m, &request, &parsed, memory);
    }
    const int64_t c = q->max_characters;
    for (;; s->level++) {
        choose_beginnings(s, s->level < c ? q->width : 0); /* longer ones are dropped */
        if (!s->num_beginnings) break;
        const int64_t missing = find_states(s, unknown);
        stats[0] = missing;
        if (missing) return missing < 0 ? (int)missing : -3;
        const int failed = read_beginnings(s, m);
        if (failed) return failed;
        SWAP(Beginning *, s->beginnings, s->parents);
        SWAP(int32_t *, s->ids, s->parent_ids);
        SWAP(char *, s->state, s->parent_state);
        s->num_parents = s->num_beginnings;
    }
    stats[0] = s->level, stats[1] = s->dropped <= s->found.to_beat;
    for (int64_t n = 0; n < s->found.count; n++) { /* the first of the most probable ones that are left */
        Word *best = NULL;
        for (Word *word = s->found.words; word < s->found.words + s->found.count; word++)
            if (word->length && (!best || word->probability > best->probability)) best = word;
        int64_t *row = found_words + n * (2 + c);
        row[0] = best->root, row[1] = best->length;
        for (int64_t i = 0; i < best->length; i++) row[2 + i] = best->ids[i];
        probabilities[2 * n] = best->probability, probabilities[2 * n + 1] = best->best;
        best->length = 0;
    }
    return (int)s->found.count;
}

/* ---- the build --------------------------------------------------------------------------------------------------- */

/* The best build that this processor can run; `hatch_build.py` says what each build needs. */
int kammil_best_level(void) {
#if defined(__x86_64__)
    /* By hand: `__builtin_cpu_supports` of some compilers' libraries knows of nothing. */
    unsigned a, b, c, d, low, high;
    const unsigned v2 = bit_SSSE3 | bit_SSE4_1, v3 = bit_OSXSAVE | bit_AVX | bit_F16C | bit_FMA;
    const unsigned v4 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & v2) != v2) return 0;
    if ((c & v3) != v3 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return 1;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0)); /* the registers that the system keeps for a process */
    if ((low & 0x06) != 0x06) return 1;
    return (low & 0xe6) == 0xe6 && (b & v4) == v4 && (c & bit_AVX512VNNI) ? 3 : 2;
#elif defined(__aarch64__) && defined(__linux__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? 1 : 0;
#else
    return 0;
#endif
}

/* Whether this build multiplies with instructions that were chosen and measured for its kind of processor. */
int kammil_vectorised(void) {
#if defined(KERNEL_AVX512) || defined(KERNEL_AVX2) || defined(KERNEL_SSSE3) || defined(KERNEL_SSE2) \
    || defined(KERNEL_NEON) || defined(KERNEL_WASM)
    return 1;
#else
    return 0;
#endif
}

/* Multiplies as a step does, for whoever measures or tests it; see quantized_matmul. */
void kammil_matmul(const QuantizedMatrix *w, const uint8_t *x_q, int64_t rows, int32_t *sums) {
    quantized_matmul(w, 0, x_q, rows, sums);
}

/* CRC-32 of this source, checked when the library is loaded. */
uint32_t kammil_source_crc(void) { return KAMMIL_SOURCE; }

/* What `layout.py` has to agree with, checked when the library is loaded. */
typedef struct {
    const char *name;
    int64_t value;
} LayoutEntry;

#define CONSTANT(name) {#name, name}
#define SIZE(type) {"sizeof " #type, sizeof(type)}
#define FIELD(type, field) {#type "." #field, offsetof(type, field)}
#define ARRAY(type, field) FIELD(type, field), {"*" #type "." #field, sizeof *((type *)0)->field}

/* Shared constants, and sizes and offsets of the structs that cross the border; ends with an entry without a name. */
const LayoutEntry *kammil_layout(void) {
    static const LayoutEntry entries[] = {
        CONSTANT(GATE_FEATURES), CONSTANT(SCORE_FEATURES), CONSTANT(WINDOW), CONSTANT(PAD), CONSTANT(BOS), CONSTANT(WORD_STATE),
        CONSTANT(STATE_ZERO), CONSTANT(STATE_MAX), CONSTANT(WEIGHT_MAX), CONSTANT(COLUMN_BLOCK), CONSTANT(INPUT_GROUP),
        CONSTANT(LOG_TABLE_SIZE), CONSTANT(ADAPTIVE_TABLES), CONSTANT(ID_BITS), CONSTANT(MESSAGE_HEADER),
        CONSTANT(QUERY_HEADER), CONSTANT(BEGINS), CONSTANT(CONTINUES), CONSTANT(ENDS_WORDS), CONSTANT(FOREIGN),
        CONSTANT(CAREFUL), CONSTANT(LETTER), CONSTANT(LONG_VOWEL),
        CONSTANT(CONTEXT_W), CONSTANT(CONTEXT_W1), CONSTANT(CONTEXT_W2), CONSTANT(CONTEXT_W1S),
        CONSTANT(CONTEXT_L), CONSTANT(CONTEXT_L1),
        SIZE(QuantizedMatrix), ARRAY(QuantizedMatrix, weights), ARRAY(QuantizedMatrix, scales),
        ARRAY(QuantizedMatrix, zero_offsets), FIELD(QuantizedMatrix, inputs), FIELD(QuantizedMatrix, outputs),
        SIZE(GRUWeights), FIELD(GRUWeights, recurrent), FIELD(GRUWeights, output), ARRAY(GRUWeights, input_gates),
        ARRAY(GRUWeights, input_new),
        SIZE(Model), FIELD(Model, vocabulary), FIELD(Model, networks), FIELD(Model, hidden), FIELD(Model, gate),
        FIELD(Model, tables), FIELD(Model, context_types), FIELD(Model, cache_types), FIELD(Model, max_order),
        FIELD(Model, hashed_types),
        FIELD(Model, bucket_size), FIELD(Model, large_size), FIELD(Model, uses_words), FIELD(Model, layer_types),
        FIELD(Model, steps),
        FIELD(Model, gru), ARRAY(Model, bias), ARRAY(Model, feature_weights), ARRAY(Model, score_weights),
        ARRAY(Model, score_bias), ARRAY(Model, log_table), ARRAY(Model, id_hashes),
        ARRAY(Model, salts), ARRAY(Model, context_spec), ARRAY(Model, in_word), ARRAY(Model, cache_columns),
        ARRAY(Model, layer_columns), ARRAY(Model, layer_weights), ARRAY(Model, trust),
        ARRAY(Model, bucket_shifts), ARRAY(Model, bucket_offsets), ARRAY(Model, bucket_begins),
        ARRAY(Model, table_keys), ARRAY(Model, follower_begins), ARRAY(Model, pruned), ARRAY(Model, follower_ids),
        ARRAY(Model, follower_counts), ARRAY(Model, large_positions), ARRAY(Model, large_counts),
        FIELD(Model, kept_memory), FIELD(Model, kept_ids), FIELD(Model, kept_counts),
        FIELD(Model, kept_bytes), FIELD(Model, kept_capacity), FIELD(Model, lock),
        SIZE(SortedCounts), FIELD(SortedCounts, pairs), FIELD(SortedCounts, counts), FIELD(SortedCounts, size),
        FIELD(Request, batch), FIELD(Request, time), FIELD(Request, last), FIELD(Request, length),
        FIELD(Request, trusts),
        FIELD(Request, adaptive), ARRAY(Request, input_ids), ARRAY(Request, recent_ids), ARRAY(Request, word_state),
        ARRAY(Request, cached_ids), ARRAY(Request, hidden), ARRAY(Request, cached_keys),
        ARRAY(Request, trust), SIZE(Request),
        SIZE(State), ARRAY(State, recent_ids), ARRAY(State, word_state), ARRAY(State, cached_ids), ARRAY(State, hidden),
        ARRAY(State, cached_keys), ARRAY(State, trust), FIELD(State, length), FIELD(State, trusts),
        {NULL, 0},
    };
    return entries;
}
