// Times blocks of Neural Amp Modeler's core and of an exported net from the same file, in alternation.
//
//     c++ -O3 -march=native -std=c++20 -DNAM_SAMPLE_FLOAT -I CORE -I CORE/Dependencies/nlohmann -I EIGEN nam_core.cpp
//         CORE/NAM/*.cpp CORE/NAM/wavenet/*.cpp net.o && ./a.out net.nam 50 fast
//
// The second argument is the number of rounds. Prints nanoseconds a sample, rnngraph's and the core's, each the median
// over rounds; the median of the rounds' ratios; and the largest difference of outputs. fast: the core's faster, less
// exact tanh.
#include "NAM/activations.h"
#include "NAM/dsp.h"
#include "NAM/get_dsp.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

extern "C" {
#include "net.h"
}

constexpr int FED = 4096, BLOCK = 64, LOOP = 8192;
static float fed[FED], given[BLOCK], others[BLOCK];
alignas(64) static unsigned char memory[NET_STATE_SIZE];
static std::unique_ptr<nam::DSP> core;

static void block_of_core(float *in) {
  float *input[] = {in}, *output[] = {others};
  core->process(input, output, BLOCK);
}

static double ours() {
  auto start = std::chrono::steady_clock::now();
  for (int step = 0; step < LOOP; step += BLOCK)
    net_process(memory, BLOCK, fed + step % FED, given);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / LOOP;
}

static double theirs() {
  auto start = std::chrono::steady_clock::now();
  for (int step = 0; step < LOOP; step += BLOCK)
    block_of_core(fed + step % FED);
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / LOOP;
}

static double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int main(int count, char **arguments) {
  if (count > 3)
    nam::activations::Activation::enable_fast_tanh();
  {
    nam::ScopedPrewarmOnResetDefault as_in_the_file(false);
    core = nam::get_dsp(std::filesystem::path(arguments[1]), nam::DspLoadOptions{false});
    core->SetPrewarmOnReset(false);
    core->Reset(48000, BLOCK);
  }
  if (!core || net_init(memory))
    return 1;
  unsigned random = 1;
  for (float &value : fed) {
    random = random * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int>(random)) / 2147483648.0f;
  }
  float most = 0;
  for (int step = 0; step < 4 * BLOCK; step += BLOCK) {
    net_process(memory, BLOCK, fed + step, given);
    block_of_core(fed + step);
    for (int sample = 0; sample < BLOCK; sample++)
      most = std::max(most, std::fabs(given[sample] - others[sample]));
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
