# fish completion for art, made by `art completion fish`
function __art_complete
    env _ART_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=$argv[1] \
        _TYPER_COMPLETE_ARGS=(commandline -cp) art 2>/dev/null
end
complete --command art --no-files --condition '__art_complete is-args' \
    --arguments '(__art_complete get-args)'
