/* Filter groups of similar blocks: the compiled form of mri_denoise.inference.group_filter.GroupFilter.
 *
 * The filter is built for several instruction sets, of which one is chosen when the program runs. All sums have a fixed
 * order, and multiplications are fused with additions only where FMA says so: compile with -ffp-contract=off.
 */

#include "filter.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    ROW = 8, /* floats of a row of a block: its last edge, then zeros */
    MAX_ROWS = MAX_EDGE * MAX_EDGE,
    SPAN = 56,                            /* voxels of a line: of blocks in a row that are compared together */
    LINE = SPAN + 2 * MAX_REACH,          /* floats of a row of the neighbourhood of a line */
    LINE_ROWS = MAX_EDGE + 2 * MAX_REACH, /* rows of a plane of it, and planes */
};

/* Blocks in a row along the last axis that are compared together. */
typedef struct {
    int64_t first[3];  /* voxel where the first block begins */
    int count, length; /* blocks; voxels from the first to the last */
    int places[SPAN];  /* where the blocks begin in the line */
    float power[SPAN]; /* of their noise */
} block_line;

/* A box of the grid along its first two axes, whole along the third. */
typedef struct {
    int64_t first0, end0, first1, end1;
} grid_box;

/* Memory of a thread. */
typedef struct {
    block_line line;
    float near[LINE_ROWS * LINE_ROWS * LINE]; /* the pilot around the line */
    float pilot[MAX_MEMBERS * MAX_ROWS * ROW], noisy[MAX_MEMBERS * MAX_ROWS * ROW]; /* a group */
    float forward[MAX_EDGE][ROW], backward[MAX_EDGE][ROW]; /* what a voxel, a coefficient, adds to a row */
    float spectrum[MAX_ROWS * ROW], window[MAX_ROWS * ROW];
    int padded_offsets; /* a multiple of ROW */
    float distances[];  /* SPAN x padded_offsets */
} workspace;

static workspace *new_workspace(const filter_job *job) {
    const int padded_offsets = (job->offset_count + ROW - 1) / ROW * ROW;
    workspace *space = calloc(1, sizeof *space + (size_t)SPAN * padded_offsets * sizeof(float));
    if (!space) return NULL;
    space->padded_offsets = padded_offsets;
    for (int n = 0; n < SPAN * padded_offsets; n++) space->distances[n] = INFINITY;
    const int *edges = job->edges, last = edges[2];
    for (int k = 0; k < last; k++)
        for (int l = 0; l < last; l++) {
            space->forward[k][l] = job->transforms[2][l * last + k];
            space->backward[k][l] = job->transforms[2][k * last + l];
        }
    for (int row = 0; row < edges[0] * edges[1]; row++)
        for (int k = 0; k < ROW; k++) {
            const float window = job->windows[0][row / edges[1]] * job->windows[1][row % edges[1]];
            space->window[row * ROW + k] = k < last ? window * job->windows[2][k] : 0;
            space->spectrum[row * ROW + k] = k < last ? job->spectrum[row * last + k] : 1;
        }
    return space;
}

/* Mean of a block that begins at `place`. The sums go along the first axis, then the second, then the third, as those of
 * block_matching.block_sums do, so that both forms call the same blocks air. */
static float block_mean(const filter_job *job, const float *volume, int64_t place, int squared) {
    const int *edges = job->edges;
    const int64_t row = job->shape[2], plane = job->shape[1] * row;
    float total = 0;
    for (int k = 0; k < edges[2]; k++) {
        float rows = 0;
        for (int j = 0; j < edges[1]; j++) {
            float column = 0;
            for (int i = 0; i < edges[0]; i++) {
                const float voxel = volume[place + i * plane + j * row + k];
                column += squared ? voxel * voxel : voxel;
            }
            rows += column;
        }
        total += rows;
    }
    return total / (float)(edges[0] * edges[1] * edges[2]);
}

/* Collect the blocks that are not air from number `next` of a row of the grid on, as many as fit in a line.
 * Returns the number after them. */
static int64_t collect_line(const filter_job *job, int64_t a, int64_t b, int64_t next, block_line *line) {
    line->first[0] = job->starts[0][a];
    line->first[1] = job->starts[1][b];
    line->count = 0;
    for (; next < job->counts[2]; next++) {
        const int64_t start = job->starts[2][next];
        if (line->count && start - line->first[2] + job->edges[2] > SPAN) break;
        const int64_t place = (line->first[0] * job->shape[1] + line->first[1]) * job->shape[2] + start;
        const float power = job->sigma_step ? block_mean(job, job->sigma, place, 1) : *job->sigma * *job->sigma;
        if (!(block_mean(job, job->pilot, place, 0) >= job->air * sqrtf(power))) continue;
        if (line->count == 0) line->first[2] = start;
        line->length = (int)(start - line->first[2]) + job->edges[2];
        line->places[line->count] = (int)(start - line->first[2]);
        line->power[line->count++] = power;
    }
    return next;
}

/* Copy the pilot around a line: voxels beyond the volume are infinite. */
static void copy_near(const filter_job *job, const block_line *line, float *near) {
    const int64_t *shape = job->shape, *first = line->first;
    const int64_t width = line->length + 2 * job->reach[2], column = first[2] - job->reach[2];
    const int64_t left = column < 0 ? -column : 0, right = column + width > shape[2] ? shape[2] - column : width;
    for (int i = 0; i < job->edges[0] + 2 * job->reach[0]; i++)
        for (int j = 0; j < job->edges[1] + 2 * job->reach[1]; j++) {
            float *to = near + (i * LINE_ROWS + j) * LINE;
            const int64_t a = first[0] - job->reach[0] + i, b = first[1] - job->reach[1] + j;
            const int inside = a >= 0 && a < shape[0] && b >= 0 && b < shape[1];
            const int64_t begin = inside ? left : width, end = inside ? right : width;
            for (int64_t k = 0; k < begin; k++) to[k] = INFINITY;
            if (inside) {
                const float *from = job->pilot + (a * shape[1] + b) * shape[2] + column + begin;
                memcpy(to + begin, from, (size_t)(end - begin) * sizeof *to);
            }
            for (int64_t k = end; k < width; k++) to[k] = INFINITY;
        }
}

/* What variants.h and kernel.h need of an instruction set: LANES floats of a vector `vec`, and
 *   LOAD(p)  STORE(p, x)  SPLAT(s)   with any alignment; s in each lane
 *   FMA(a, b, c)                     a * b + c, fused where the set can do that
 *   ANY_BELOW(x, y)                  whether x < y in any lane
 */
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define SET sse2 /* processors from before 2013 */
#define LANES 4
#define vec __m128
#define LOAD(p) _mm_loadu_ps(p)
#define STORE(p, x) _mm_storeu_ps(p, x)
#define SPLAT(s) _mm_set1_ps(s)
#define FMA(a, b, c) ((a) * (b) + (c))
#define ANY_BELOW(x, y) _mm_movemask_ps(_mm_cmplt_ps(x, y))
#include "variants.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define SET avx2
#define ALL_SIZES
#define LANES 8
#define vec __m256
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, x) _mm256_storeu_ps(p, x)
#define SPLAT(s) _mm256_set1_ps(s)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define ANY_BELOW(x, y) _mm256_movemask_ps(_mm256_cmp_ps(x, y, _CMP_LT_OQ))
#include "variants.h"
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

/* Whether the processor has AVX2 and FMA, and the system keeps their registers. Not __builtin_cpu_supports: Zig's
 * library says no to everything. */
static int has_avx2(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_FMA) || !(c & bit_OSXSAVE)) return 0;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & 6) == 6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

#elif defined(__aarch64__)
#include <arm_neon.h>

#define SET neon
#define ALL_SIZES
#define LANES 4
#define vec float32x4_t
#define LOAD(p) vld1q_f32(p)
#define STORE(p, x) vst1q_f32(p, x)
#define SPLAT(s) vdupq_n_f32(s)
#define FMA(a, b, c) vfmaq_f32(c, a, b)
#define ANY_BELOW(x, y) vmaxvq_u32(vcltq_f32(x, y))
#include "variants.h"

#else
#define SET scalar
#define LANES 1
#define vec float
#define LOAD(p) (*(p))
#define STORE(p, x) (*(p) = (x))
#define SPLAT(s) (s)
#define FMA(a, b, c) ((a) * (b) + (c))
#define ANY_BELOW(x, y) ((x) < (y))
#include "variants.h"
#endif

static int always(void) { return 1; }

/* The instruction sets of this build, the fastest first. */
static const struct {
    const char *name;
    int (*here)(void);
    void (*run)(const filter_job *, const grid_box *, workspace *);
} SETS[] = {
#if defined(__x86_64__)
    {"avx2", has_avx2, run_avx2},
    {"sse2", always, run_sse2},
#elif defined(__aarch64__)
    {"neon", always, run_neon},
#else
    {"scalar", always, run_scalar},
#endif
};

/* Place in SETS of the n-th that this processor has, or -1. */
static int find_set(int n) {
    for (int place = 0; place < (int)(sizeof SETS / sizeof *SETS); place++)
        if (SETS[place].here() && n-- == 0) return place;
    return -1;
}

int32_t filter_version(void) { return VERSION; }

int32_t filter_job_size(void) { return (int32_t)sizeof(filter_job); }

const char *filter_instruction_set(int32_t number) {
    const int place = find_set(number);
    return place < 0 ? NULL : SETS[place].name;
}

void filter_unbias(const filter_job *job, int64_t first, int64_t end) {
    const int64_t plane = job->shape[1] * job->shape[2];
    const float limit = (float)(job->bias_count - 1) / (float)job->bias_steps;
    for (int64_t n = first * plane; n < end * plane; n++) {
        const float sigma = job->sigma[n * job->sigma_step], signal = job->pilot[n];
        const float snr = (signal > 0 ? signal : 0) / (sigma > 1e-12f ? sigma : 1e-12f);
        const float place = (snr < limit ? snr : limit) * (float)job->bias_steps;
        const int below = place < (float)(job->bias_count - 2) ? (int)place : job->bias_count - 2;
        const float bias = job->bias[below] + (place - (float)below) * (job->bias[below + 1] - job->bias[below]);
        const float beyond = snr > limit ? limit / snr : 1; /* there the bias falls as 1 / SNR */
        job->unbiased[n] = job->noisy[n] == 0 ? signal : job->noisy[n] - sigma * bias * beyond;
    }
}

int32_t filter_box(const filter_job *job, int64_t first0, int64_t end0, int64_t first1, int64_t end1) {
    const int place = find_set(job->instruction_set);
    workspace *space = place < 0 ? NULL : new_workspace(job);
    if (!space) return -1;
    const grid_box box = {first0, end0, first1, end1};
    SETS[place].run(job, &box, space);
    free(space);
    return 0;
}
