/* The layers of an exported C file, in float.  interop/c_out.py writes those that a network needs into its
   header, with the network's name in the place of NAME.  Images are [channel][row][column]. */

/* --- clip */
static inline int NAME_clip(int value, int low, int high) {
  return value < low ? low : value > high ? high : value;
}

/* --- columns: the numbers of a table's columns; kind 0: the number, or value where it is missing (NaN);
   1: whether it is value; 2: whether it is missing */
static inline void NAME_columns(const float *x, const int32_t *source, const uint8_t *kind, const float *value,
                                float *out, int count) {
  for (int d = 0; d < count; ++d) {
    const float v = x[source[d]];
    const int missing = !(v <= 0.0f || v > 0.0f);
    if (kind[d] == 0)
      out[d] = missing ? value[d] : v;
    else
      out[d] = kind[d] == 1 ? (v >= value[d] && v <= value[d] ? 1.0f : 0.0f) : (missing ? 1.0f : 0.0f);
  }
}

/* --- standardize: out = (x - mean) scale; each mean is that of `each` numbers in a row */
static inline void NAME_standardize(const float *x, const float *mean, const float *scale, float *out, int count,
                                    int each) {
  for (int i = 0; i < count; ++i) out[i] = (x[i] - mean[i / each]) * scale[i / each];
}

/* --- affine: out = x W + b, with W as [input][output] */
static inline void NAME_affine(const float *restrict x, const float *restrict W, const float *restrict b,
                               float *restrict out, int D, int M) {
  for (int m = 0; m < M; ++m) out[m] = b[m];
  for (int d = 0; d < D; ++d)
    for (int m = 0; m < M; ++m) out[m] += x[d] * W[d * M + m];
}

/* --- begin: the first j >= 0 for which j step + start is not below 0 */
static inline int NAME_begin(int start, int step) { return start < 0 ? (step - 1 - start) / step : 0; }

/* --- end: behind the last j < count for which j step + start is below `size` */
static inline int NAME_end(int start, int step, int count, int size) {
  return start < size ? NAME_clip((size - 1 - start) / step + 1, 0, count) : 0;
}

/* --- conv: out[f][i][j] = sum of W[f][c][u][v] x[c][i sy + u dy - py][j sx + v dx - px] + b[f]; each weight goes
   along a whole row, for four filters at once, so that a compiler computes neighbouring pixels together */
static inline void NAME_conv(const float *restrict x, const float *restrict W, const float *restrict b,
                             float *restrict out, int C, int H, int Wd, int F, int rows, int columns, int HH, int WW,
                             int sy, int sx, int py, int px, int dy, int dx, int groups) {
  const int channels = C / groups, filters = F / groups, count = channels * HH * WW, plane = rows * columns;
  for (int f = 0, many; f < F; f += many) {
    many = filters - f % filters >= 4 ? 4 : 1;
    for (int i = 0; i < rows; ++i) {
      float *sums = out + (f * rows + i) * columns;
      for (int k = 0; k < many; ++k)
        for (int j = 0; j < columns; ++j) sums[k * plane + j] = b[f + k];
      for (int c = 0; c < channels; ++c)
        for (int u = 0; u < HH; ++u) {
          const int r = i * sy + u * dy - py;
          if (r < 0 || r >= H) continue;
          const float *row = x + ((f / filters * channels + c) * H + r) * Wd;
          for (int v = 0; v < WW; ++v) {
            const float *w = W + f * count + (c * HH + u) * WW + v;
            const int start = v * dx - px, begin = NAME_begin(start, sx), end = NAME_end(start, sx, columns, Wd);
            if (many == 4) {
              const float w0 = w[0], w1 = w[count], w2 = w[2 * count], w3 = w[3 * count];
              for (int j = begin; j < end; ++j) {
                const float pixel = row[j * sx + start];
                sums[j] += w0 * pixel;
                sums[plane + j] += w1 * pixel;
                sums[2 * plane + j] += w2 * pixel;
                sums[3 * plane + j] += w3 * pixel;
              }
            } else
              for (int j = begin; j < end; ++j) sums[j] += w[0] * row[j * sx + start];
          }
        }
    }
  }
}

/* --- conv_transpose: out[f][i][j] = sum of x[c][r][q] W[c][f][u][v] where i = r sy + u dy - py, j = ... */
static inline void NAME_conv_transpose(const float *x, const float *W, const float *b, float *out, int C, int H, int Wd,
                                       int F, int rows, int columns, int HH, int WW, int sy, int sx, int py, int px,
                                       int dy, int dx, int groups) {
  const int channels = C / groups, filters = F / groups;
  for (int f = 0; f < F; ++f)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        float sum = b[f];
        for (int c = f / filters * channels; c < (f / filters + 1) * channels; ++c)
          for (int u = 0; u < HH; ++u) {
            const int r = i + py - u * dy;
            if (r < 0 || r % sy || r / sy >= H) continue;
            for (int v = 0; v < WW; ++v) {
              const int q = j + px - v * dx;
              if (q < 0 || q % sx || q / sx >= Wd) continue;
              sum += x[(c * H + r / sy) * Wd + q / sx] * W[((c * filters + f % filters) * HH + u) * WW + v];
            }
          }
        out[(f * rows + i) * columns + j] = sum;
      }
}

/* --- channels: out = factor x + shift, with a factor and shift for each channel of `each` numbers */
static inline void NAME_channels(const float *x, const float *factor, const float *shift, float *out, int count,
                                 int each) {
  for (int i = 0; i < count; ++i) out[i] = x[i] * factor[i / each] + shift[i / each];
}

/* --- rsqrt: 1 / sqrt(x), by Newton's method from a first guess in the exponent */
static inline float NAME_rsqrt(float x) {
  uint32_t bits;
  float y;
  memcpy(&bits, &x, sizeof bits);
  bits = 0x5f3759dfu - (bits >> 1);
  memcpy(&y, &bits, sizeof y);
  for (int k = 0; k < 4; ++k) y *= 1.5f - 0.5f * x * y * y;
  return y;
}

/* --- groupnorm: out = gamma (x - mean) / sqrt(var + eps) + beta, for each of the groups of channels */
static inline void NAME_groupnorm(const float *x, const float *gamma, const float *beta, float *out, int count,
                                  int groups, int each, float eps) {
  const int part = count / groups;
  for (int g = 0; g < groups; ++g) {
    float mean = 0.0f, var = 0.0f;
    for (int i = g * part; i < (g + 1) * part; ++i) mean += x[i];
    mean /= (float)part;
    for (int i = g * part; i < (g + 1) * part; ++i) var += (x[i] - mean) * (x[i] - mean);
    const float scale = NAME_rsqrt(var / (float)part + eps);
    for (int i = g * part; i < (g + 1) * part; ++i) out[i] = gamma[i / each] * ((x[i] - mean) * scale) + beta[i / each];
  }
}

/* --- relu: out = x where it is positive, else 0 */
static inline void NAME_relu(const float *x, float *out, int count) {
  for (int i = 0; i < count; ++i) out[i] = x[i] > 0.0f ? x[i] : 0.0f;
}

/* --- leaky_relu: out = x where it is positive, else alpha x */
static inline void NAME_leaky_relu(const float *x, float *out, int count, float alpha) {
  for (int i = 0; i < count; ++i) out[i] = x[i] > 0.0f ? x[i] : alpha * x[i];
}

/* --- prelu: out = x where it is positive, else a x, with a slope for each channel of `each` numbers */
static inline void NAME_prelu(const float *x, const float *a, float *out, int count, int each) {
  for (int i = 0; i < count; ++i) out[i] = x[i] > 0.0f ? x[i] : a[i / each] * x[i];
}

/* --- expm1: exp(x) - 1, by its series where the difference would lose digits */
static inline float NAME_expm1(float x) {
  if (x < -0.3f || x > 0.3f) return expf(x) - 1.0f;
  return x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4 * (1 + x / 5 * (1 + x / 6 * (1 + x / 7 * (1 + x / 8)))))));
}

/* --- elu: out = x where it is positive, else alpha (exp(x) - 1) */
static inline void NAME_elu(const float *x, float *out, int count, float alpha) {
  for (int i = 0; i < count; ++i) out[i] = x[i] > 0.0f ? x[i] : alpha * NAME_expm1(x[i]);
}

/* --- sigmoid: out = 1 / (1 + exp(-x)) */
static inline void NAME_sigmoid(const float *x, float *out, int count) {
  for (int i = 0; i < count; ++i) {
    const float small = expf(x[i] > 0.0f ? -x[i] : x[i]);
    out[i] = (x[i] > 0.0f ? 1.0f : small) / (1.0f + small);
  }
}

/* --- tanh_of: (exp(2x) - 1) / (exp(2x) + 1), with exp(-2|x|) - 1 to all digits */
static inline float NAME_tanh_of(float x) {
  const float size = x < 0.0f ? -x : x;
  const float less = NAME_expm1(-2.0f * size);
  const float out = -less / (2.0f + less);
  return x < 0.0f ? -out : out;
}

/* --- tanh: out = tanh(x) */
static inline void NAME_tanh(const float *x, float *out, int count) {
  for (int i = 0; i < count; ++i) out[i] = NAME_tanh_of(x[i]);
}

/* --- softplus: out = log(1 + exp(x)) = max(x, 0) + log(1 + z), z = exp(-|x|), by the series of log in z / (2 + z) */
static inline void NAME_softplus(const float *x, float *out, int count) {
  for (int i = 0; i < count; ++i) {
    const float z = expf(x[i] > 0.0f ? -x[i] : x[i]), s = z / (2.0f + z), t = s * s;
    const float series = 1 + t * (1 / 3.0f + t * (1 / 5.0f + t * (1 / 7.0f + t * (1 / 9.0f + t * (1 / 11.0f +
                         t * (1 / 13.0f + t / 15.0f))))));
    out[i] = (x[i] > 0.0f ? x[i] : 0.0f) + 2 * s * series;
  }
}

/* --- gelu: out = x erfc(-x / sqrt(2)) / 2, with erfc(y) = exp(-y^2) f(t) / (1 + 2y), t = (y - 3) / (y + 3) */
static inline void NAME_gelu(const float *x, float *out, int count) {
  static const float powers[18] = {
      1.2530080582697296f,     -0.13562110612458117f,  -0.0475622934543492f,    0.1296451587027594f,
      -0.11927366361538638f,   0.0683080273440099f,    -0.02377051491717134f,   0.0025293918156939696f,
      0.0018886903449991718f,  -0.0007798322696543306f, -0.00010515971958448065f, 0.0001250993424583729f,
      4.949196649968345e-06f,  -2.0100542268525612e-05f, -7.308281468783614e-07f, 3.472370944977168e-06f,
      3.5576086684080595e-07f, -6.166011460398726e-07f};
  for (int i = 0; i < count; ++i) {
    const float y = (x[i] < 0.0f ? -x[i] : x[i]) * 0.70710678f, t = (y - 3) / (y + 3);
    float f = powers[17];
    for (int k = 16; k >= 0; --k) f = f * t + powers[k];
    const float tail = expf(-y * y) * f / (1 + 2 * y);
    out[i] = 0.5f * x[i] * (x[i] < 0.0f ? tail : 2 - tail);
  }
}

/* --- gelu_tanh: out = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
static inline void NAME_gelu_tanh(const float *x, float *out, int count) {
  for (int i = 0; i < count; ++i)
    out[i] = 0.5f * x[i] * (1 + NAME_tanh_of(0.79788456f * (x[i] + 0.044715f * x[i] * x[i] * x[i])));
}

/* --- scale: out = factor x */
static inline void NAME_scale(const float *x, float *out, int count, float factor) {
  for (int i = 0; i < count; ++i) out[i] = factor * x[i];
}

/* --- add: out = a + b */
static inline void NAME_add(const float *a, const float *b, float *out, int count) {
  for (int i = 0; i < count; ++i) out[i] = a[i] + b[i];
}

/* --- copy: out = x */
static inline void NAME_copy(const float *x, float *out, int count) {
  for (int i = 0; i < count; ++i) out[i] = x[i];
}

/* --- maxout: out = the largest of `pieces` neighbouring channels of `each` numbers */
static inline void NAME_maxout(const float *x, float *out, int channels, int pieces, int each) {
  for (int c = 0; c < channels; ++c)
    for (int i = 0; i < each; ++i) {
      float largest = x[c * pieces * each + i];
      for (int k = 1; k < pieces; ++k) {
        const float value = x[(c * pieces + k) * each + i];
        if (value > largest) largest = value;
      }
      out[c * each + i] = largest;
    }
}

/* --- max_pool: out = the largest of each window */
static inline void NAME_max_pool(const float *x, float *out, int C, int H, int Wd, int rows, int columns, int HH, int WW,
                                 int sy, int sx, int py, int px) {
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        const int top = NAME_clip(i * sy - py, 0, H), bottom = NAME_clip(i * sy - py + HH, 0, H);
        const int left = NAME_clip(j * sx - px, 0, Wd), right = NAME_clip(j * sx - px + WW, 0, Wd);
        float largest = x[(c * H + top) * Wd + left];
        for (int r = top; r < bottom; ++r)
          for (int q = left; q < right; ++q)
            if (x[(c * H + r) * Wd + q] > largest) largest = x[(c * H + r) * Wd + q];
        out[(c * rows + i) * columns + j] = largest;
      }
}

/* --- avg_pool: out = the mean of each window; with `counts` the padding of py and px counts, too */
static inline void NAME_avg_pool(const float *x, float *out, int C, int H, int Wd, int rows, int columns, int HH, int WW,
                                 int sy, int sx, int py, int px, int counts) {
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        const int y = i * sy - py, z = j * sx - px;
        const int top = NAME_clip(y, 0, H), bottom = NAME_clip(y + HH, 0, H);
        const int left = NAME_clip(z, 0, Wd), right = NAME_clip(z + WW, 0, Wd);
        const int high = counts ? NAME_clip(y + HH, -py, H + py) - y : bottom - top;
        const int wide = counts ? NAME_clip(z + WW, -px, Wd + px) - z : right - left;
        float sum = 0.0f;
        for (int r = top; r < bottom; ++r)
          for (int q = left; q < right; ++q) sum += x[(c * H + r) * Wd + q];
        out[(c * rows + i) * columns + j] = sum / (float)(high * wide);
      }
}

/* --- nearest: out[c][i][j] = x[c][i / sy][j / sx] */
static inline void NAME_nearest(const float *x, float *out, int C, int H, int Wd, int sy, int sx) {
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < H * sy; ++i)
      for (int j = 0; j < Wd * sx; ++j) out[(c * H * sy + i) * Wd * sx + j] = x[(c * H + i / sy) * Wd + j / sx];
}

/* --- bilinear: between the pixels; row i lies at (2 i + 1 - sy) / (2 sy) */
static inline void NAME_bilinear(const float *x, float *out, int C, int H, int Wd, int sy, int sx) {
  for (int i = 0; i < H * sy; ++i)
    for (int j = 0; j < Wd * sx; ++j) {
      const int y = NAME_clip(2 * i + 1 - sy, 0, 2 * sy * (H - 1)), z = NAME_clip(2 * j + 1 - sx, 0, 2 * sx * (Wd - 1));
      const int r = y / (2 * sy), q = z / (2 * sx);
      const int below = NAME_clip(r + 1, 0, H - 1), beside = NAME_clip(q + 1, 0, Wd - 1);
      const float a = (float)(y % (2 * sy)) / (float)(2 * sy), b = (float)(z % (2 * sx)) / (float)(2 * sx);
      for (int c = 0; c < C; ++c) {
        const float *image = x + c * H * Wd;
        const float first = (1 - b) * image[r * Wd + q] + b * image[r * Wd + beside];
        const float second = (1 - b) * image[below * Wd + q] + b * image[below * Wd + beside];
        out[(c * H * sy + i) * Wd * sx + j] = (1 - a) * first + a * second;
      }
    }
}

/* --- pad: an image with `value` around it */
static inline void NAME_pad(const float *x, float *out, int C, int H, int Wd, int rows, int columns, int top, int left,
                            float value) {
  for (int c = 0; c < C; ++c)
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        const int r = i - top, q = j - left;
        const int inside = r >= 0 && r < H && q >= 0 && q < Wd;
        out[(c * rows + i) * columns + j] = inside ? x[(c * H + r) * Wd + q] : value;
      }
}

/* --- permute: out[i][j][k] = x at strides a, b, c */
static inline void NAME_permute(const float *x, float *out, int I, int J, int K, int a, int b, int c) {
  for (int i = 0; i < I; ++i)
    for (int j = 0; j < J; ++j)
      for (int k = 0; k < K; ++k) out[(i * J + j) * K + k] = x[i * a + j * b + k * c];
}
