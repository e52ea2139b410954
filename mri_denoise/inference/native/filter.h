/* What Python hands over, see library.py. All volumes are float32 in C order, of shape `shape`. */

#ifndef MRI_DENOISE_FILTER_H
#define MRI_DENOISE_FILTER_H

#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

enum {
    VERSION = 2,      /* of the structures and functions below */
    MAX_EDGE = 8,     /* voxels of a block along an axis */
    MAX_REACH = 8,    /* voxels to the farthest block along an axis */
    MAX_MEMBERS = 32, /* blocks of a group */
};

typedef struct {
    int64_t shape[3];
    int64_t counts[3];          /* blocks of the grid along each axis */
    const int32_t *starts[3];   /* their first voxels, ascending */
    const int32_t *offsets;     /* offset_count x 3, the first is 0 0 0; of equal distances the first wins */
    int32_t offset_count;       /* of the blocks within reach */
    int32_t members;            /* blocks of a group: a power of 2, at most those within reach of any block */
    int32_t edges[3];           /* voxels of a block */
    int32_t reach[3];           /* largest offset along each axis */
    float shrinkage;            /* times the power of the noise in the gain */
    float air;                  /* times sigma: blocks of a lower mean are not filtered */
    float least_power;          /* of the noise of a block */
    float least_left;           /* power of the noise after a filter, relative to that of a voxel */
    const float *transforms[3]; /* orthonormal cosine transforms along the edges, a coefficient a row */
    const float *windows[3];    /* weights of the voxels along the edges */
    const float *spectrum;      /* edges: power of the noise in each coefficient, relative to that of a voxel */
    const float *bias;          /* of magnitudes of unit noise, bias_steps in 1 of SNR, from 0 on */
    int32_t bias_count, bias_steps;
    const float *sigma;         /* of the noise: one number, or one a voxel */
    int32_t sigma_step;         /* 0 for one number, 1 for one a voxel */
    int32_t instruction_set;    /* number of filter_instruction_set */
    const float *noisy;
    const float *pilot;
    float *unbiased;            /* written by filter_unbias, read by filter_box */
    float *values, *weights;    /* sums of weighted voxels and of weights, which are added to */
} filter_job;

/* VERSION, and bytes of a filter_job: the caller compares both with its own. */
EXPORT int32_t filter_version(void);
EXPORT int32_t filter_job_size(void);

/* Names of the instruction sets that this processor has, from number 0 on, the fastest first; NULL past the last. */
EXPORT const char *filter_instruction_set(int32_t number);

/* Subtract the bias of magnitudes at the pilot's signal from planes of the noisy volume. */
EXPORT void filter_unbias(const filter_job *job, int64_t first, int64_t end);

/* Filter the blocks in a box of the grid, whole along the third axis. Returns 0, or -1 if there is no memory.
 * Boxes that reach the same voxels must not run at the same time. */
EXPORT int32_t filter_box(const filter_job *job, int64_t first0, int64_t end0, int64_t first1, int64_t end1);

#endif
