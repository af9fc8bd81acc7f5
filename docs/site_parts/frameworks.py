"""Names and arguments of torch 2.13 and Keras 3.15 for which ``rnngraph/support/hints/`` has replacements.

Pages that compare words show them. NAMES has modules, classes and functions. ARGUMENTS has arguments by the function of
rnngraph that takes them. Words are separated by spaces.
"""

from __future__ import annotations

NAMES: dict[str, str] = {
    "torch": """
        profile profiler record_function ProfilerActivity RNN RNNBase LSTM GRU RNNCell RNNCellBase while_loop
        Linear LazyLinear Embedding pack_padded_sequence pad_packed_sequence pack_sequence PackedSequence
        pad_sequence Dropout AlphaDropout LayerNorm BatchNorm1d batch_norm register_buffer MaxPool1d AvgPool1d
        avg_pool1d ConstantPad1d ReflectionPad1d ReplicationPad1d MultiheadAttention Flatten view repeat_interleave
        concatenate cat dot bmm mm sum mean max min amax amin prod topk any
        all Hardsigmoid add subtract multiply mul divide pow negative greater_equal less_equal eq clamp silu
        unsqueeze permute movedim chunk unbind take index_select take_along_dim scatter scatter_add
        zeros ones tensor as_tensor Parameter detach
        cond rand randn CrossEntropyLoss cross_entropy NLLLoss nll_loss BCEWithLogitsLoss BCELoss
        MSELoss mse_loss L1Loss SmoothL1Loss CTCLoss Adadelta Adamax NAdam LBFGS Adafactor optim StepLR
        ExponentialLR CosineAnnealingLR LinearLR ReduceLROnPlateau clip_grad_norm_ clip_grad_norm
        clip_grad_value_ Sequential Module train DataLoader Dataset no_grad grad jit save DataParallel
        manual_seed device cuda nn
    """,
    "keras": """
        RNN SimpleRNN LSTM GRU SimpleRNNCell Layer StackedRNNCells Bidirectional TimeDistributed ConvLSTM1D
        ConvLSTM2D scan while_loop Dense Embedding Masking Dropout SpatialDropout1D AlphaDropout
        GaussianDropout GaussianNoise LayerNormalization BatchNormalization Conv1D
        MaxPooling1D max_pool AveragePooling1D DepthwiseConv1D ZeroPadding1D GlobalAveragePooling1D
        GlobalMaxPooling1D Attention AdditiveAttention MultiHeadAttention Activation Lambda Flatten
        Permute RepeatVector concatenate Input InputLayer dot sum mean max min amax
        amin prod any all add subtract multiply divide negative greater_equal
        less_equal silu take zeros ones array convert_to_tensor Variable cond
        SparseCategoricalCrossentropy sparse_categorical_crossentropy CategoricalCrossentropy
        categorical_crossentropy BinaryCrossentropy MeanSquaredError MeanAbsoluteError Huber CTC
        SparseCategoricalAccuracy Adadelta Adamax Nadam Lion Ftrl Adafactor ReduceLROnPlateau
        LearningRateScheduler EarlyStopping ModelCheckpoint TensorBoard Sequential Model fit train save device
        nn layers losses optimizers
    """,
}

ARGUMENTS: dict[str, dict[str, str]] = {
    "torch": {
        "cell": """
            hidden_size input_size num_layers dropout bidirectional batch_first bias nonlinearity
            proj_size device dtype
        """,
        "driver": "batch_first device dtype",
        "optimizer": """
            lr betas eps alpha params initial_accumulator_value lr_decay amsgrad dampening maximize
            foreach fused capturable differentiable decoupled_weight_decay momentum nesterov
        """,
        "loss": """
            target input weight pos_weight ignore_index label_smoothing size_average reduce blank
            zero_infinity
        """,
        "dense": "bias in_features out_features device dtype",
        "embedding": """
            num_embeddings embedding_dim padding_idx _weight _freeze max_norm norm_type scale_grad_by_freq
            sparse device dtype
        """,
        "conv1d": "out_channels in_channels bias stride padding_mode device dtype",
        "layer_norm": "eps bias normalized_shape elementwise_affine device dtype",
        "batch_normalization": "eps num_features affine bias track_running_stats device dtype",
        "fit": "dataset num_workers drop_last collate_fn pin_memory sampler",
        "dropout": "p inplace",
    },
    "keras": {
        "cell": """
            units dropout recurrent_dropout return_sequences return_state go_backwards stateful unroll
            use_bias unit_forget_bias reset_after use_cudnn kernel_initializer bias_initializer
            recurrent_initializer kernel_regularizer bias_regularizer recurrent_regularizer
            activity_regularizer kernel_constraint bias_constraint recurrent_constraint seed
        """,
        "driver": """
            return_sequences return_state go_backwards unroll stateful kernel_initializer bias_initializer
            recurrent_initializer kernel_regularizer bias_regularizer recurrent_regularizer
            activity_regularizer kernel_constraint bias_constraint recurrent_constraint seed
        """,
        "optimizer": """
            beta_1 beta_2 rho initial_accumulator_value clipnorm global_clipnorm clipvalue
            gradient_accumulation_steps amsgrad use_ema ema_momentum ema_overwrite_frequency
            loss_scale_factor name momentum nesterov name
        """,
        "loss": "from_logits ignore_class label_smoothing axis name dtype dtype name",
        "dense": """
            kernel_initializer bias_initializer kernel_regularizer bias_regularizer activity_regularizer
            kernel_constraint bias_constraint lora_rank lora_alpha quantization_config
        """,
        "embedding": """
            input_dim output_dim mask_zero embeddings_initializer embeddings_regularizer
            embeddings_constraint weights lora_rank lora_alpha quantization_config
        """,
        "conv1d": """
            dilation_rate data_format kernel_initializer bias_initializer kernel_regularizer
            bias_regularizer activity_regularizer kernel_constraint bias_constraint
        """,
        "layer_norm": """
            axis center scale beta_initializer gamma_initializer beta_regularizer gamma_regularizer
            beta_constraint gamma_constraint
        """,
        "batch_normalization": """
            synchronized beta_initializer gamma_initializer moving_mean_initializer
            moving_variance_initializer beta_regularizer gamma_regularizer beta_constraint
            gamma_constraint renorm renorm_clipping renorm_momentum
        """,
        "fit": """
            x y sample_weight validation_data validation_split class_weight verbose initial_epoch
            validation_steps validation_freq validation_batch_size
        """,
        "predict": "x verbose steps callbacks",
        "evaluate": "x y sample_weight verbose steps callbacks return_dict",
        "compile": """
            optimizer metrics loss_weights weighted_metrics run_eagerly jit_compile steps_per_execution
            auto_scale_loss
        """,
        "dropout": "rate noise_shape seed",
        "Trainer": "loss metrics",
    },
}
