// Times steps of RTNeural's layer and of an exported net with the same weights, in alternation.
//
//     c++ -O3 -march=native -DLAYER=LSTMLayerT -DINPUTS=1 -DUNITS=16 -DGATES=4 -DBIASES=1 -DRTNEURAL_USE_EIGEN=1
//         -DRTNEURAL_DEFAULT_ALIGNMENT=64 -I RTNEURAL -I RTNEURAL/modules/Eigen rtneural.cpp net.o && ./a.out weights 50
//
// Arguments: a file with the weights (float32, Keras's kernel, recurrent kernel and biases), and the number of rounds.
// Prints nanoseconds a step, rnngraph's and RTNeural's, each the median over rounds; the median of the rounds' ratios;
// and the largest difference of outputs.
#include <RTNeural/RTNeural.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

extern "C" {
#include "net.h"
}

using Layer = RTNeural::LAYER<float, INPUTS, UNITS>;
using Model = RTNeural::ModelT<float, INPUTS, UNITS, Layer>;
using Rows = std::vector<std::vector<float>>;

constexpr int FED = 4096, LOOP = 8192;
static float fed[FED][INPUTS], given[UNITS];
alignas(64) static unsigned char memory[NET_STATE_SIZE];
alignas(64) static Model model;

static Rows rows(std::ifstream &file, int count, int width) {
  Rows found(count, std::vector<float>(width));
  for (auto &row : found)
    file.read(reinterpret_cast<char *>(row.data()), sizeof(float) * width);
  return found;
}

template <class L> static void set_biases(L &layer, const Rows &biases, std::true_type) { layer.setBVals(biases[0]); }
template <class L> static void set_biases(L &layer, const Rows &biases, std::false_type) { layer.setBVals(biases); }

static double ours() {
  auto start = std::chrono::steady_clock::now();
  for (int step = 0; step < LOOP; step++)
    net_step(memory, fed[step % FED], given);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / LOOP;
}

static volatile float sink;

static double theirs() {
  auto start = std::chrono::steady_clock::now();
  for (int step = 0; step < LOOP; step++)
    sink = model.forward(fed[step % FED]);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / LOOP;
}

static double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int main(int, char **arguments) {
  std::ifstream file(arguments[1], std::ios::binary);
  auto &layer = model.get<0>();
  layer.setWVals(rows(file, INPUTS, GATES * UNITS));
  layer.setUVals(rows(file, UNITS, GATES * UNITS));
  set_biases(layer, rows(file, BIASES, GATES * UNITS), std::integral_constant<bool, BIASES == 1>());
  if (!file || net_init(memory))
    return 1;
  unsigned random = 1;
  for (auto &step : fed)
    for (float &value : step) {
      random = random * 1664525u + 1013904223u;
      value = static_cast<float>(static_cast<int>(random)) / 2147483648.0f;
    }
  model.reset();
  float most = 0;
  for (int step = 0; step < 200; step++) {
    net_step(memory, fed[step], given);
    model.forward(fed[step]);
    for (int unit = 0; unit < UNITS; unit++)
      most = std::max(most, std::fabs(given[unit] - model.getOutputs()[unit]));
  }
  ours(), theirs();
  std::vector<double> mine, other, ratios;
  for (int round = std::atoi(arguments[2]); round > 0; round--) {
    mine.push_back(ours());
    other.push_back(theirs());
    ratios.push_back(other.back() / mine.back());
  }
  std::printf("%.1f %.1f %.3f %.2g\n", median(mine), median(other), median(ratios), most);
  return 0;
}
