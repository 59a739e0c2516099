# Completion of benchdog in PowerShell.
Register-ArgumentCompleter -Native -CommandName benchdog -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $before = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition })
    $env:BENCHDOG_COMPLETE = 'powershell'
    $env:BENCHDOG_WORDS = ($before | ForEach-Object { $_.Extent.Text }) -join "`n"
    $env:BENCHDOG_WORD = "$wordToComplete"
    try {
        & $commandAst.GetCommandName() | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
        }
    } finally {
        Remove-Item Env:BENCHDOG_COMPLETE, Env:BENCHDOG_WORDS, Env:BENCHDOG_WORD -ErrorAction Ignore
    }
}
